/**
 * From pixels to the input tensor: rules 3 and 4 of reference/inputs/preprocess.py.
 * Mean and standard deviation are inside the model.
 */
import type { PreprocessSpec } from '../bundle/manifest';
import type { PixelSource } from './pixels';
import { chooseRegion, type Box, type Region } from './region';

/** Weights of the input pixels along one axis: output i reads pixels [first[i], first[i] + count[i]). */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `most` weights for each output. */
  readonly weights: Float32Array;
  readonly most: number;
}

/** Rule 3 along one axis; what lies beyond the border counts for the edge pixel. */
export function bilinearTaps(start: number, length: number, size: number, pixels: number): Taps {
  const scale = length / size;
  const support = Math.max(scale, 1);
  const most = 2 * Math.ceil(support) + 2;
  const taps: Taps = {
    first: new Int32Array(size),
    count: new Int32Array(size),
    weights: new Float32Array(size * most),
    most,
  };
  const clamp = (position: number): number => Math.min(Math.max(position, 0), pixels - 1);
  for (let i = 0; i < size; i++) {
    const center = start + (i + 0.5) * scale;
    const low = Math.floor(center - support);
    const high = Math.ceil(center + support);
    const raw: number[] = [];
    for (let p = low; p <= high; p++) raw.push(Math.max(0, 1 - Math.abs(p + 0.5 - center) / support));
    const total = raw.reduce((a, b) => a + b, 0);
    const used = raw.map((weight, k) => [clamp(low + k), weight / total] as const).filter(([, weight]) => weight > 0);
    const first = used[0]![0];
    const folded = new Float64Array(most);
    for (const [pixel, weight] of used) folded[pixel - first]! += weight;
    taps.first[i] = first;
    taps.count[i] = used.at(-1)![0] - first + 1;
    taps.weights.set(folded, i * most);
  }
  return taps;
}

/** Turns one picture after the other into the input tensor; keeps its buffers and, for equal regions, its weights. */
export class PicturePreprocessor {
  readonly tensor: Float32Array;
  #key = '';
  #rows!: Taps;
  #columns!: Taps;
  #cache = new Float32Array(0);
  #cached = new Int32Array(0);
  #sum = new Float32Array(0);

  constructor(readonly spec: PreprocessSpec) {
    this.tensor = new Float32Array(3 * spec.size[0] * spec.size[1]);
  }

  /** Fills {@link tensor}, (1, 3, H, W) RGB in [0, 1], and says which region it shows. */
  run(source: PixelSource, box?: Box | null): Region {
    const region = chooseRegion(source.width, source.height, this.spec, box);
    this.sample(source, region);
    return region;
  }

  /** Rules 3 and 4. */
  sample(source: PixelSource, region: Region): void {
    const [height, width] = this.spec.size;
    this.#prepare(source, region);
    const rows = this.#rows;
    const left = this.#columns.first[0]!;
    const count = this.#columns.first[width - 1]! + this.#columns.count[width - 1]! - left;
    const length = 3 * count;
    const slots = this.#cached.length;
    for (let oy = 0; oy < height; oy++) {
      this.#sum.fill(0);
      for (let k = 0; k < rows.count[oy]!; k++) {
        const y = rows.first[oy]! + k;
        const slot = y % slots;
        const row = this.#cache.subarray(slot * length, (slot + 1) * length);
        if (this.#cached[slot] !== y) {
          source.readRow(y, left, count, row);
          this.#cached[slot] = y;
        }
        const weight = rows.weights[oy * rows.most + k]!;
        for (let i = 0; i < length; i++) this.#sum[i]! += weight * row[i]!;
      }
      this.#writeRow(oy, left, count);
    }
  }

  #writeRow(oy: number, left: number, count: number): void {
    const [height, width] = this.spec.size;
    const { first, count: counts, weights, most } = this.#columns;
    for (let c = 0; c < 3; c++) {
      const from = c * count - left;
      const to = (c * height + oy) * width;
      for (let ox = 0; ox < width; ox++) {
        let value = 0;
        for (let k = 0; k < counts[ox]!; k++) value += weights[ox * most + k]! * this.#sum[from + first[ox]! + k]!;
        this.tensor[to + ox] = value / 255;
      }
    }
  }

  #prepare(source: PixelSource, region: Region): void {
    const [height, width] = this.spec.size;
    const key = [region.left, region.top, region.width, region.height, source.width, source.height].join();
    if (key !== this.#key) {
      this.#rows = bilinearTaps(region.top, region.height, height, source.height);
      this.#columns = bilinearTaps(region.left, region.width, width, source.width);
      const count = this.#columns.first[width - 1]! + this.#columns.count[width - 1]! - this.#columns.first[0]!;
      this.#sum = new Float32Array(3 * count);
      this.#cache = new Float32Array(3 * count * this.#rows.most);
      this.#cached = new Int32Array(this.#rows.most);
      this.#key = key;
    }
    this.#cached.fill(-1);
  }
}

/**
 * From pixels or a depth map to the input tensor: the four rules of reference/inputs/preprocess.py.
 * Mean and standard deviation are inside the model.
 */
import { BadInput } from './errors';
import type { PreprocessSpec } from './manifest';
import type { DepthMap, PixelSource } from './pixels';

/** x0, y0, x1, y1 in pixels. */
export type Box = readonly [number, number, number, number];

/** The rectangle of the picture that the network sees, in pixels; (0, 0) is the picture's outer corner. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

const OBJECT_MARGIN = 0.03;
/** The farthest pixel keeps this value; 0 means "no measurement". */
const FARTHEST_VALUE = 1 / 16;

/** Rule 2: the region with the network's aspect ratio. */
export function chooseRegion(
  width: number,
  height: number,
  spec: PreprocessSpec,
  box?: Box | null,
  boxGrow = spec.boxGrow,
): Region {
  let [left, top, right, bottom] = [0, 0, width, height];
  if (box) {
    const [x0, y0, x1, y1] = box;
    if (!(x0 < x1 && y0 < y1 && x0 < width && y0 < height && x1 > 0 && y1 > 0)) {
      throw new BadInput(`box is ${box}; allowed: x0 < x1, y0 < y1, inside the ${width}x${height} picture`);
    }
    const growX = boxGrow * (x1 - x0);
    const growY = boxGrow * (y1 - y0);
    [left, right] = [Math.max(0, x0 - growX), Math.min(width, x1 + growX)];
    [top, bottom] = [Math.max(0, y0 - growY), Math.min(height, y1 + growY)];
  }
  const w = right - left;
  const h = bottom - top;
  if (spec.resize === 'stretch') return { left, top, width: w, height: h };
  const pick = spec.resize === 'cover' ? Math.min : Math.max;
  const scale = pick(w / spec.size[1], h / spec.size[0]);
  const [w2, h2] = [scale * spec.size[1], scale * spec.size[0]];
  return { left: left + (w - w2) / 2, top: top + (h - h2) / 2, width: w2, height: h2 };
}

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

/** Input tensor (1, 1, H, W) in [0, 1] of a depth map, and the region it shows; without a box, all that was measured. */
export function preprocessDepth(
  depth: DepthMap,
  spec: PreprocessSpec,
  box?: Box | null,
): { tensor: Float32Array; region: Region } {
  const region = box
    ? chooseRegion(depth.width, depth.height, spec, box)
    : chooseRegion(depth.width, depth.height, spec, measuredBox(depth), OBJECT_MARGIN);
  const rows = nearestIndices(region.top, region.height, spec.size[0], depth.height);
  const columns = nearestIndices(region.left, region.width, spec.size[1], depth.width);
  const cut = new Uint16Array(rows.length * columns.length);
  rows.forEach((y, i) =>
    columns.forEach((x, j) => {
      if (x >= 0 && y >= 0) cut[i * columns.length + j] = depth.millimetres[y * depth.width + x]!;
    }),
  );
  return { tensor: normalizeDepth(cut, region), region };
}

function normalizeDepth(cut: Uint16Array, region: Region): Float32Array {
  let near = Infinity;
  let far = 0;
  for (const value of cut) {
    if (value > 0 && value < near) near = value;
    if (value > far) far = value;
  }
  if (far === 0) {
    throw new BadInput(
      `the depth map is 0 inside ${JSON.stringify(region)}; choose a box where distances were measured`,
    );
  }
  const extent = far > near ? far - near : 1;
  return Float32Array.from(cut, (value) => (value > 0 ? 1 - ((value - near) / extent) * (1 - FARTHEST_VALUE) : 0));
}

function measuredBox(depth: DepthMap): Box {
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  depth.millimetres.forEach((value, i) => {
    if (value === 0) return;
    const x = i % depth.width;
    const y = (i - x) / depth.width;
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  });
  if (right < 0) throw new BadInput('the depth map is 0 everywhere; give a map with distances in millimetres');
  return [left, top, right + 1, bottom + 1];
}

function nearestIndices(start: number, length: number, size: number, pixels: number): number[] {
  return Array.from({ length: size }, (_, i) => {
    const position = Math.floor(start + (i + 0.5) * (length / size));
    return position >= 0 && position < pixels ? position : -1;
  });
}

/** The paper's colour at every pixel: a plane through the border's colours, or the brightest nearby where a shadow lies. */
import { solveSmall } from './linear_algebra';
import { blurred, type Raster } from './resampling';
import { disc, rectangle, type Kernel } from './grids';

const PAPER_SPREAD = 30;

/** CIE L*a*b* (D65), three numbers a pixel. */
export interface Lab {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

export function toLab({ width, height, data }: Raster): Lab {
  const linear = (value: number): number => {
    const v = Math.min(Math.max(value / 255, 0), 1);
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  };
  const f = (t: number): number => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const lab = new Float32Array(3 * width * height);
  for (let i = 0; i < lab.length; i += 3) {
    const [r, g, b] = [linear(data[i]!), linear(data[i + 1]!), linear(data[i + 2]!)];
    const x = f((0.412453 * r + 0.35758 * g + 0.180423 * b) / 0.95047);
    const y = f(0.212671 * r + 0.71516 * g + 0.072169 * b);
    const z = f((0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.08883);
    lab[i] = 116 * y - 16;
    lab[i + 1] = 500 * (x - y);
    lab[i + 2] = 200 * (y - z);
  }
  return { width, height, data: lab };
}

/** A plane through the border's colours, or null where the border isn't of one colour. */
export function paperPlane(lab: Lab): Lab | null {
  const { width, height, data } = lab;
  const edge = Math.max(2, Math.floor(Math.min(height, width) / 50));
  const border: number[] = [];
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++)
      if (x < edge || x >= width - edge || y < edge || y >= height - edge) border.push(i);
  const terms = (i: number): [number, number, number] => [1, (i % width) / width, Math.floor(i / width) / height];
  let kept = border;
  let plane: number[][] = [];
  let distances: number[] = [];
  for (let round = 0; round < 5; round++) {
    plane = fitPlane(kept, terms, data);
    distances = border.map((i) => {
      const [, u, v] = terms(i);
      let sum = 0;
      for (let c = 0; c < 3; c++) {
        const [p, q, r] = plane[c]!;
        sum += (data[3 * i + c]! - (p! + q! * u + r! * v)) ** 2;
      }
      return Math.sqrt(sum);
    });
    // The figure may touch the border: what is far from the plane doesn't count.
    const most = Math.max(quantile(distances, 0.5) * 3, 3);
    kept = border.filter((_, k) => distances[k]! <= most);
  }
  if (quantile(distances, 0.5) > PAPER_SPREAD / 3 || quantile(distances, 0.7) > PAPER_SPREAD) return null;
  const paper = new Float32Array(data.length);
  for (let i = 0; i < width * height; i++) {
    const [, u, v] = terms(i);
    plane.forEach(([p, q, r], c) => (paper[3 * i + c] = p! + q! * u + r! * v));
  }
  return { width, height, data: paper };
}

function fitPlane(pixels: number[], terms: (i: number) => [number, number, number], data: Float32Array): number[][] {
  const matrix = [0, 1, 2].map(() => [0, 0, 0]);
  const sides = [0, 1, 2].map(() => [0, 0, 0]);
  for (const i of pixels) {
    const row = terms(i);
    for (let a = 0; a < 3; a++) {
      for (let b = 0; b < 3; b++) matrix[a]![b]! += row[a]! * row[b]!;
      for (let c = 0; c < 3; c++) sides[c]![a]! += row[a]! * data[3 * i + c]!;
    }
  }
  return sides.map((side) => solveSmall(matrix, side));
}

/** As numpy takes it: on the straight line between the two values beside it. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  const place = (sorted.length - 1) * share;
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (place - low);
}

export function smoothPaper({ width, height, data }: Lab): Lab {
  const channel = (c: number): Float32Array =>
    Float32Array.from({ length: width * height }, (_, i) => data[3 * i + c]!);
  const bright = extreme(channel(0), width, height, disc(25), 1);
  const light = blurred(extreme(bright, width, height, rectangle(15, 15), -1), width, height, 8, 32, false);
  const tints = [1, 2].map((c) => blurred(medianOf25(channel(c), width, height), width, height, 40, 160, false));
  const paper = new Float32Array(data.length);
  for (let i = 0; i < width * height; i++) paper.set([light[i]!, tints[0]![i]!, tints[1]![i]!], 3 * i);
  return { width, height, data: paper };
}

/** The largest (`sign` 1) or smallest (-1) value within a kernel whose rows lie about its middle. */
function extreme(values: Float32Array, width: number, height: number, kernel: Kernel, sign: 1 | -1): Float32Array {
  const found = new Float32Array(values.length).fill(-Infinity);
  // Of rows that grow by a pixel at both ends.
  const level = values.map((value) => sign * value);
  const farthest = Math.max(...kernel.map(({ dx }) => -dx));
  const next = level.slice();
  for (let reach = 0; reach <= farthest; reach++) {
    for (const { dy } of kernel.filter(({ dx }) => -dx === reach)) {
      for (let y = Math.max(0, -dy); y < Math.min(height, height - dy); y++)
        for (let x = 0, i = y * width, j = (y + dy) * width; x < width; x++, i++, j++)
          if (level[j]! > found[i]!) found[i] = level[j]!;
    }
    for (let y = 0, i = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++)
        next[i] = Math.max(level[i]!, x > 0 ? level[i - 1]! : -Infinity, x < width - 1 ? level[i + 1]! : -Infinity);
    level.set(next);
  }
  return found.map((value) => sign * value);
}

function medianOf25(values: Float32Array, width: number, height: number): Float32Array {
  const found = new Float32Array(values.length);
  const window = new Float32Array(25);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      for (let k = 0; k < 25; k++) {
        const u = Math.min(Math.max(x + (k % 5) - 2, 0), width - 1);
        const v = Math.min(Math.max(y + Math.floor(k / 5) - 2, 0), height - 1);
        window[k] = values[v * width + u]!;
      }
      found[i] = window.sort()[12]!;
    }
  }
  return found;
}

/** A salient region with its edge moved to the picture's own. */
import { bitsWhere, type Bits } from './grids';
import type { Raster } from './resampling';

const RADIUS_SHARE = 1 / 48;
const SOFTNESS = 1e-4;

/**
 * The region where a guided filter (He, Sun and Tang 2010) of the probabilities is at least a half; the picture's grey
 * levels guide it.
 */
export function refined(picture: Raster, salient: Float32Array): Bits {
  const { width, height, data } = picture;
  const radius = Math.max(2, Math.round(Math.max(width, height) * RADIUS_SHARE));
  const grey = Float64Array.from(salient, (_, i) => (data[3 * i]! + data[3 * i + 1]! + data[3 * i + 2]!) / 765);
  const mean = (values: Float64Array): Float64Array => boxMean(values, width, height, radius);
  const [i, p] = [mean(grey), mean(Float64Array.from(salient))];
  const ip = mean(grey.map((value, k) => value * salient[k]!));
  const ii = mean(grey.map((value) => value * value));
  const slope = i.map((value, k) => (ip[k]! - value * p[k]!) / (ii[k]! - value * value + SOFTNESS));
  const base = p.map((value, k) => value - slope[k]! * i[k]!);
  const [a, b] = [mean(slope), mean(base)];
  return bitsWhere(picture, (k) => a[k]! * grey[k]! + b[k]! >= 0.5);
}

/** The mean of the square around each pixel, as far as it lies in the picture. */
function boxMean(values: Float64Array, width: number, height: number, radius: number): Float64Array {
  const sums = new Float64Array((width + 1) * (height + 1));
  for (let y = 0; y < height; y++) {
    let row = 0;
    for (let x = 0; x < width; x++) {
      row += values[y * width + x]!;
      sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1]! + row;
    }
  }
  return values.map((_, k) => {
    const [x, y] = [k % width, Math.floor(k / width)];
    const [x0, x1] = [Math.max(0, x - radius), Math.min(width, x + radius + 1)];
    const [y0, y1] = [Math.max(0, y - radius), Math.min(height, y + radius + 1)];
    const at = (u: number, v: number): number => sums[v * (width + 1) + u]!;
    return (at(x1, y1) - at(x0, y1) - at(x1, y0) + at(x0, y0)) / ((x1 - x0) * (y1 - y0));
  });
}

/** A network's grid of values, laid over the part of a picture that it saw: reference/inputs/grid.py. */
import type { Region } from './region';

export interface Grid<V> {
  readonly values: V;
  readonly rows: number;
  readonly columns: number;
}

/** Values for the picture's pixels, bilinear, edge values repeated inside the region. */
export function layOver(
  { values, rows, columns }: Grid<Float32Array>,
  region: Region,
  width: number,
  height: number,
  outside: number,
): Float32Array {
  const xs = between(region.left, region.width, columns, width);
  const ys = between(region.top, region.height, rows, height);
  const laid = new Float32Array(width * height).fill(outside);
  ys.forEach((y, row) => {
    if (y === null) return;
    xs.forEach((x, column) => {
      if (x === null) return;
      const at = (r: number, c: number): number => values[r * columns + c]!;
      const upper = at(y.low, x.low) * (1 - x.part) + at(y.low, x.high) * x.part;
      const lower = at(y.high, x.low) * (1 - x.part) + at(y.high, x.high) * x.part;
      laid[row * width + column] = upper * (1 - y.part) + lower * y.part;
    });
  });
  return laid;
}

/** Class numbers for the picture's pixels; -1 outside the region. */
export function layClassesOver(
  { values, rows, columns }: Grid<Int32Array>,
  region: Region,
  width: number,
  height: number,
): Int32Array {
  const xs = nearest(region.left, region.width, columns, width);
  const ys = nearest(region.top, region.height, rows, height);
  const laid = new Int32Array(width * height).fill(-1);
  ys.forEach((y, row) =>
    xs.forEach((x, column) => {
      if (x >= 0 && y >= 0) laid[row * width + column] = values[y * columns + x]!;
    }),
  );
  return laid;
}

function between(
  start: number,
  length: number,
  cells: number,
  pixels: number,
): ({ low: number; high: number; part: number } | null)[] {
  return Array.from({ length: pixels }, (_, pixel) => {
    const fraction = (pixel + 0.5 - start) / length;
    if (fraction < 0 || fraction > 1) return null;
    const position = Math.min(Math.max(fraction * cells - 0.5, 0), cells - 1);
    const low = Math.floor(position);
    return { low, high: Math.min(low + 1, cells - 1), part: position - low };
  });
}

function nearest(start: number, length: number, cells: number, pixels: number): number[] {
  return Array.from({ length: pixels }, (_, pixel) => {
    const fraction = (pixel + 0.5 - start) / length;
    return fraction >= 0 && fraction < 1 ? Math.floor(fraction * cells) : -1;
  });
}

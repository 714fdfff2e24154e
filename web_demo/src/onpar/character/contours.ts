/** Outlines of a figure on the working grid, as reference/animation/figure/shape.py finds them. */
import { BadInput } from '../bundle/errors';
import { bitsWhere, boundsOf, countBits, CROSS, dilate, disc, erode, largestPart, partsOf, type Bits } from './grids';
import { area, blurred, linear, resized } from './resampling';

/** The figure's longer side in pixels of the working grid. */
export const GRID = 384;
const MARGIN = 6;

export type Line = readonly (readonly [x: number, y: number])[];

export interface Contours {
  /** The smoothed figure with a margin. */
  readonly grid: Bits;
  /** Closed polygons in grid pixels, the outline first, then holes. */
  readonly lines: readonly Line[];
  /** Picture pixels per grid pixel, and where the grid's (0, 0) lies in the picture. */
  readonly scale: number;
  readonly originPx: readonly [x: number, y: number];
}

export function toPicture({ scale, originPx }: Contours, [x, y]: readonly [number, number]): [number, number] {
  return [x * scale + originPx[0], y * scale + originPx[1]];
}

export function findContours(mask: Bits): Contours {
  const box = boundsOf(mask);
  if (box === null) throw new BadInput('the mask is empty; allowed: a figure');
  const [columns, rows] = [box.x1 - box.x0 + 1, box.y1 - box.y0 + 1];
  const scale = Math.max(columns, rows) / GRID;
  const [inner, tall] = [Math.max(4, roundEven(columns / scale)), Math.max(4, roundEven(rows / scale))];
  const cut = new Float32Array(columns * rows);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) cut[y * columns + x] = mask.data[(y + box.y0) * mask.width + x + box.x0]!;
  const small = resized(
    { width: columns, height: rows, channels: 1, data: cut },
    inner,
    tall,
    scale > 1 ? area : linear,
  );
  const [width, height] = [inner + 2 * MARGIN, tall + 2 * MARGIN];
  const level = new Float32Array(width * height);
  for (let y = 0; y < tall; y++)
    for (let x = 0; x < inner; x++) level[(y + MARGIN) * width + x + MARGIN] = small.data[y * inner + x]!;
  const thick = thinLines(bitsWhere({ width, height }, (i) => level[i]! > 0.3));
  const smooth = blurred(
    level.map((value, i) => Math.max(value, thick.data[i]!)),
    width,
    height,
    1.2,
    5,
    true,
  );
  const grid = largest(bitsWhere({ width, height }, (i) => smooth[i]! > 0.5));
  const near = dilate(dilate(grid, CROSS), CROSS);
  const lines = traced(
    smooth.map((value, i) => (near.data[i] ? value : 0)),
    width,
    height,
  ).filter((line) => line.length > 11);
  lines.sort((a, b) => areaOf(b) - areaOf(a));
  const least = 0.01 * countBits(grid);
  // The centre of grid pixel i lies at (i - MARGIN + 0.5) * scale of the cut's edge, half a pixel left of its centre.
  const shift = (0.5 - MARGIN) * scale - 0.5;
  const kept = lines.filter((line, i) => i === 0 || areaOf(line) > least);
  return { grid, lines: kept, scale, originPx: [box.x0 + shift, box.y0 + shift] };
}

/** As Python rounds: halves to the even number. */
export function roundEven(value: number): number {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down % 2) : Math.round(value);
}

/** Lines too thin for the mesh, such as limbs of stick figures, at the least width that it can hold. */
function thinLines(grid: Bits): Bits {
  const opened = dilate(erode(grid, disc(5), 0), disc(5));
  const rest = bitsWhere(grid, (i) => grid.data[i] === 1 && !opened.data[i]);
  const { labels, sizes } = partsOf(rest, true);
  // Less is a corner of the outline.
  return dilate(
    bitsWhere(grid, (i) => labels[i]! > 0 && sizes[labels[i]!]! > 15),
    disc(5),
  );
}

function largest(grid: Bits): Bits {
  const parts = partsOf(grid, false);
  const best = largestPart(parts);
  return bitsWhere(grid, (i) => best > 0 && parts.labels[i] === best);
}

function areaOf(line: Line): number {
  let sum = 0;
  line.forEach(([x, y], i) => {
    const [u, v] = line[(i + 1) % line.length]!;
    sum += x * v - y * u;
  });
  return Math.abs(sum) / 2;
}

/** Closed lines at the level 0.5, which nothing at the border reaches (marching squares, Lorensen and Cline 1987). */
function traced(level: Float64Array, width: number, height: number): (readonly [number, number])[][] {
  // Every crossed edge between two pixels, by its number: level ones are even, upright ones odd.
  const after = new Map<number, number[]>();
  const link = (a: number, b: number): void => {
    after.set(a, [...(after.get(a) ?? []), b]);
    after.set(b, [...(after.get(b) ?? []), a]);
  };
  for (let y = 0; y < height - 1; y++) {
    for (let x = 0; x < width - 1; x++) {
      const i = y * width + x;
      const [a, b, c, d] = [i, i + 1, i + width + 1, i + width].map((k) => (level[k]! > 0.5 ? 1 : 0));
      const [top, right, bottom, left] = [2 * i, 2 * (i + 1) + 1, 2 * (i + width), 2 * i + 1];
      const crossed: number[] = [];
      if (a !== b) crossed.push(top);
      if (b !== c) crossed.push(right);
      if (c !== d) crossed.push(bottom);
      if (d !== a) crossed.push(left);
      if (crossed.length === 2) link(crossed[0]!, crossed[1]!);
      // A saddle: what is set stays apart across the corner.
      else if (crossed.length === 4) {
        link(a ? top : right, a ? left : top);
        link(a ? right : bottom, a ? bottom : left);
      }
    }
  }
  const place = (edge: number): readonly [number, number] => {
    const i = edge >> 1;
    const other = edge % 2 ? i + width : i + 1;
    const share = (0.5 - level[i]!) / (level[other]! - level[i]!);
    const [x, y] = [i % width, Math.floor(i / width)];
    return edge % 2 ? [x, y + share] : [x + share, y];
  };
  const lines: (readonly [number, number])[][] = [];
  const seen = new Set<number>();
  for (const start of after.keys()) {
    if (seen.has(start)) continue;
    const edges = [start];
    seen.add(start);
    for (let at = start; ;) {
      const next = after.get(at)!.find((edge) => !seen.has(edge));
      if (next === undefined) break;
      seen.add(next);
      edges.push(next);
      at = next;
    }
    lines.push(edges.map(place));
  }
  return lines;
}

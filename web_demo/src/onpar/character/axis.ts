/** The medial axis: thinned pixels joined by a spanning tree that breaks loops at their thinnest place. */
import { toNearestEmpty, type Bits } from './grids';
import { thinned } from './thinning';

export type Point = readonly [x: number, y: number];

/** Joints that are being collected: places in grid pixels, distances to the outline, and which belong together. */
export interface Joints {
  readonly points: Point[];
  readonly radii: number[];
  readonly edges: [number, number][];
}

export class Axis {
  /** Pixels in the order of the rows, as x and y. */
  readonly #places: readonly Point[];
  readonly radii: readonly number[];
  /** Neighbours in the tree. */
  readonly near: number[][];

  constructor(places: readonly Point[], radii: readonly number[], near: number[][]) {
    this.#places = places;
    this.radii = radii;
    this.near = near;
  }

  place(i: number): Point {
    return this.#places[i]!;
  }

  ends(): number[] {
    return this.near.flatMap((others, i) => (others.length === 1 ? [i] : []));
  }

  forks(): number[] {
    return this.near.flatMap((others, i) => (others.length > 2 ? [i] : []));
  }

  cut(a: number, b: number): void {
    this.near[a] = this.near[a]!.filter((other) => other !== b);
    this.near[b] = this.near[b]!.filter((other) => other !== a);
  }

  length(a: number, b: number): number {
    const [[x, y], [u, v]] = [this.place(a), this.place(b)];
    return Math.hypot(x - u, y - v);
  }

  /** Pixels from an end to the fork or other end that it leads to, both included. */
  limb(end: number): number[] {
    const path = [end];
    for (let before = -1; ;) {
      const onward = this.near[path.at(-1)!]!.filter((other) => other !== before);
      if (onward.length !== 1) return path;
      before = path.at(-1)!;
      path.push(onward[0]!);
    }
  }

  /** Length from a path's first pixel to each of its pixels. */
  way(path: readonly number[]): number[] {
    let total = 0;
    return path.map((pixel, i) => (total += i === 0 ? 0 : this.length(path[i - 1]!, pixel)));
  }
}

export function axisOf(grid: Bits): Axis {
  const { width } = grid;
  const distance = toNearestEmpty(grid).squared.map(Math.sqrt);
  let pixels: number[] = [];
  thinned(grid).data.forEach((set, i) => set && pixels.push(i));
  if (pixels.length === 0) pixels = [distance.indexOf(distance.reduce((a, b) => Math.max(a, b), 0))];
  const number = new Map(pixels.map((pixel, i) => [pixel, i]));
  const edges: [a: number, b: number, weight: number][] = [];
  for (const [dx, dy] of [
    [1, 0],
    [-1, 1],
    [0, 1],
    [1, 1],
  ] as const) {
    // prettier-ignore
    pixels.forEach((pixel, a) => {
      const x = (pixel % width) + dx;
      const b = x < 0 || x >= width ? undefined : number.get(pixel + dy * width + dx);
      if (b === undefined) return;
      const thin = Math.min(distance[pixel]!, distance[pixels[b]!]!);
      edges.push([a, b, Math.hypot(dx, dy) + 10 / Math.max(thin, 0.5)]);
    });
  }
  return new Axis(
    pixels.map((pixel) => [pixel % width, Math.floor(pixel / width)]),
    pixels.map((pixel) => distance[pixel]!),
    spanningTree(pixels.length, edges),
  );
}

/** The lightest tree (Kruskal 1956); of equal weights the first is taken. */
function spanningTree(count: number, edges: [number, number, number][]): number[][] {
  const near: number[][] = Array.from({ length: count }, () => []);
  const above = Int32Array.from({ length: count }, (_, i) => i);
  const top = (i: number): number => {
    while (above[i] !== i) i = above[i] = above[above[i]!]!;
    return i;
  };
  for (const [a, b] of edges.toSorted((one, other) => one[2] - other[2])) {
    const [p, q] = [top(a), top(b)];
    if (p === q) continue;
    above[p] = q;
    near[a]!.push(b);
    near[b]!.push(a);
  }
  return near;
}

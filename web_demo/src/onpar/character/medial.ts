/** The skeleton of a figure: its medial axis, pruned, as reference/animation/figure/medial.py finds it. */
import { axisOf, type Axis, type Joints, type Point } from './axis';
import { GRID, type Contours } from './contours';
import { addHeads, joinedForks, segmentsOf } from './medial_joints';
import { quantile } from './paper_colour';

const SHORTEST_LIMB = 0.055;
const LEAST_OF_DISC = 0.3;
const POINTED = 0.75;
const LEAST_OF_CORNER = 0.75;
const BEND = 0.06;
const THICK_END = 1.15;

/** A tree of joints in grid pixels, the root first; `radii` are distances to the outline. */
export interface Medial {
  readonly points: readonly Point[];
  readonly parents: readonly number[];
  readonly radii: readonly number[];
}

export function findSkeleton({ grid }: Contours): Medial {
  const axis = axisOf(grid);
  prune(axis);
  if (axis.forks().length > 0) return withJoints(axis);
  return chain(axis, grid);
}

/** Remove the least significant limb until all stick out enough. */
function prune(axis: Axis): void {
  for (;;) {
    let [least, worst]: [number, number[] | null] = [1, null];
    for (const end of axis.ends()) {
      const path = axis.limb(end);
      if (axis.near[path.at(-1)!]!.length <= 2) continue;
      const score = significance(axis, path);
      if (score < least) [least, worst] = [score, path];
    }
    if (worst === null) return;
    for (let i = 1; i < worst.length; i++) axis.cut(worst[i - 1]!, worst[i]!);
  }
}

/** How far a limb sticks out of the disc at its foot, relative to the least that is kept. */
function significance(axis: Axis, path: readonly number[]): number {
  const way = axis.way(path);
  const radius = axis.radii[path.at(-1)!]!;
  const out = way.at(-1)! + axis.radii[path[0]!]! - radius;
  const free = path.filter((_, i) => way[i]! <= Math.max(out, 1)).map((i) => axis.radii[i]!);
  // Along a wedge the radius falls evenly to 0: the median is 5/8 of the 80th percentile; along a limb, nearly 1.
  const least = quantile(free, 0.5) < POINTED * quantile(free, 0.8) ? LEAST_OF_CORNER : LEAST_OF_DISC;
  return out / Math.max(SHORTEST_LIMB * GRID, least * radius);
}

/** A figure without forks: joints along a long one, one bone across a blob. */
function chain(axis: Axis, grid: Contours['grid']): Medial {
  const ends = axis.ends();
  const thickest = axis.radii.reduce((best, radius, i) => (radius > axis.radii[best]! ? i : best), 0);
  const path = ends.length === 2 ? axis.limb(ends[0]!) : [thickest];
  const way = axis.way(path);
  const radius = Math.max(...path.map((i) => axis.radii[i]!));
  if (way.at(-1)! < 3 * radius) {
    let [sum, count, low, high] = [0, 0, Infinity, -Infinity];
    grid.data.forEach((set, i) => {
      if (!set) return;
      const y = Math.floor(i / grid.width);
      [sum, count, low, high] = [sum + (i % grid.width), count + 1, Math.min(low, y), Math.max(high, y)];
    });
    return { points: [[sum / count, high], [sum / count, low]], parents: [-1, 0], radii: [radius, radius] }; // prettier-ignore
  }
  const marks = [0, 1, 2, 3, 4].map((k) => Math.min(search(way, (way.at(-1)! * k) / 4), path.length - 1));
  const stops = [0, ...aroundBends(axis, path, marks)].map((i) => path[i]!);
  return {
    points: stops.map((i) => axis.place(i)),
    parents: stops.map((_, i) => i - 1),
    radii: stops.map((i) => axis.radii[i]!),
  };
}

function withJoints(axis: Axis): Medial {
  const groups = joinedForks(axis);
  const groupOf = new Map(groups.flatMap((pixels, group) => pixels.map((pixel) => [pixel, group] as const)));
  const joints: Joints = {
    points: groups.map((pixels) => meanPlace(axis, pixels)),
    radii: groups.map((pixels) => Math.max(...pixels.map((i) => axis.radii[i]!))),
    edges: [],
  };
  for (const found of segmentsOf(axis, groupOf)) addSegment(axis, found, groupOf, joints);
  addHeads(axis, groups, joints);
  return rooted(joints);
}

function addSegment(axis: Axis, found: readonly number[], groupOf: ReadonlyMap<number, number>, joints: Joints): void {
  const { points, radii, edges } = joints;
  const [path, first, last] = groupOf.has(found[0]!)
    ? [found, groupOf.get(found[0]!)!, groupOf.get(found.at(-1)!)]
    : [found.toReversed(), groupOf.get(found.at(-1)!)!, undefined];
  const end = last === undefined ? thickEnd(axis, path) : path.length - 1;
  const stops = stopsOf(axis, path.slice(0, end + 1), radii[first]!, last === undefined);
  let previous = first;
  for (const stop of stops) {
    points.push(axis.place(path[stop]!));
    radii.push(axis.radii[path[stop]!]!);
    edges.push([previous, points.length - 1]);
    previous = points.length - 1;
  }
  if (last !== undefined) edges.push([previous, last]);
  else if (stops.at(-1)! < path.length - 1) {
    // The path was cut at a thick end's centre.
    const [dx, dy] = beyond(axis, path.slice(0, stops.at(-1)! + 1));
    points[previous] = [points[previous]![0] + dx, points[previous]![1] + dy];
  }
}

function meanPlace(axis: Axis, pixels: readonly number[]): Point {
  const total = pixels.reduce((sum, i) => sum + axis.radii[i]!, 0);
  const mean = (k: 0 | 1): number => pixels.reduce((sum, i) => sum + axis.radii[i]! * axis.place(i)[k], 0) / total;
  return [mean(0), mean(1)];
}

/** Where a limb's way ends: the centre of a head or fist if it ends in one, else its last pixel. */
function thickEnd(axis: Axis, path: readonly number[]): number {
  const way = axis.way(path);
  const outer = way.findIndex((length) => length > 0.35 * way.at(-1)!);
  if (outer < 0 || path.length - outer < 3) return path.length - 1;
  let centre = outer;
  for (let i = outer; i < path.length; i++) if (axis.radii[path[i]!]! > axis.radii[path[centre]!]!) centre = i;
  const before = Math.min(...path.slice(outer, centre + 1).map((i) => axis.radii[i]!));
  const radius = axis.radii[path[centre]!]!;
  const rest = way.at(-1)! - way[centre]!;
  const thick = radius > THICK_END * before && radius > 0.025 * GRID;
  return thick && rest > 0 && rest < 1.2 * radius ? centre : path.length - 1;
}

/** From the centre of a thick end onwards in the direction in which the limb came. */
function beyond(axis: Axis, path: readonly number[]): Point {
  const radius = axis.radii[path.at(-1)!]!;
  const back = path.toReversed();
  const before = back[Math.min(search(axis.way(back), 1.5 * radius), path.length - 1)]!;
  const [x, y] = axis.place(path.at(-1)!);
  const [u, v] = axis.place(before);
  const factor = (0.35 * radius) / Math.max(Math.hypot(x - u, y - v), 1e-9);
  return [(x - u) * factor, (y - v) * factor];
}

/** Where along a path joints go, as positions in it. */
function stopsOf(axis: Axis, path: readonly number[], radius: number, isLimb: boolean): number[] {
  const way = axis.way(path);
  const total = way.at(-1)!;
  if (!isLimb) {
    const middle = total > 0.12 * GRID ? [search(way, total / 2)] : [];
    return aroundBends(axis, path, [0, ...middle, path.length - 1]).slice(0, -1);
  }
  const leaves = Math.min(0.75 * radius, 0.5 * total);
  const rest = total - leaves;
  const marks = rest > 0.08 * GRID ? [leaves, leaves + rest / 2, total] : [leaves, total];
  if (leaves < 0.03 * GRID) marks.shift();
  return aroundBends(axis, path, [0, ...marks.map((mark) => Math.min(search(way, mark), path.length - 1))]);
}

/** The stops behind the first, with further ones halfway wherever a bone between two would leave the figure. */
function aroundBends(axis: Axis, path: readonly number[], stops: readonly number[]): number[] {
  return stops.slice(1).flatMap((last, k) => {
    const first = stops[k]!;
    const part = path.slice(first, last + 1);
    const [x, y] = axis.place(part[0]!);
    const [u, v] = axis.place(part.at(-1)!);
    const length = Math.max(Math.hypot(u - x, v - y), 1e-9);
    const off = part.map((i) => {
      const [a, b] = axis.place(i);
      return Math.abs((b - y) * (u - x) - (a - x) * (v - y)) / length;
    });
    const way = axis.way(part);
    const middle = first + search(way, way.at(-1)! / 2);
    const room = Math.max(BEND * GRID, ...part.map((i) => axis.radii[i]!));
    return Math.max(...off) > room && first < middle && middle < last
      ? aroundBends(axis, path, [first, middle, last])
      : [last];
  });
}

/** The first position whose value is not below the wanted one. */
function search(sorted: readonly number[], wanted: number): number {
  const found = sorted.findIndex((value) => value >= wanted);
  return found < 0 ? sorted.length : found;
}

function rooted({ points, radii, edges }: Joints): Medial {
  const near: number[][] = points.map(() => []);
  for (const [a, b] of edges) {
    near[a]!.push(b);
    near[b]!.push(a);
  }
  let root = 0;
  near.forEach(({ length }, i) => {
    const best = near[root]!.length;
    if (length > best || (length === best && radii[i]! > radii[root]!)) root = i;
  });
  const order = [root];
  const parent = new Map([[root, -1]]);
  for (const joint of order) {
    for (const other of near[joint]!) {
      if (parent.has(other)) continue;
      parent.set(other, joint);
      order.push(other); // grows while it is read
    }
  }
  const number = new Map(order.map((joint, i) => [joint, i]));
  return {
    points: order.map((joint) => points[joint]!),
    parents: order.map((joint) => number.get(parent.get(joint)!) ?? -1),
    radii: order.map((joint) => radii[joint]!),
  };
}

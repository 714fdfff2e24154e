/** Places where branches of the axis meet, and the ways between them. */
import type { Axis, Joints, Point } from './axis';
import { GRID } from './contours';

/** Forks grouped where one lies within 0.8 radii of another: their branches leave the same part of the body. */
export function joinedForks(axis: Axis): number[][] {
  const groups: number[][] = [];
  for (const fork of axis.forks().toSorted((a, b) => axis.radii[b]! - axis.radii[a]!)) {
    const home = groups.find(([first]) => axis.length(fork, first!) < 0.8 * axis.radii[first!]!);
    if (home) home.push(fork);
    else groups.push([fork]);
  }
  return groups;
}

/** Ways between forks of different groups, and from forks to ends. */
export function segmentsOf(axis: Axis, groupOf: ReadonlyMap<number, number>): number[][] {
  const found: number[][] = [];
  for (const fork of groupOf.keys()) {
    for (const onward of axis.near[fork]!.toSorted((a, b) => a - b)) {
      const path = [fork, onward];
      while (!groupOf.has(path.at(-1)!) && axis.near[path.at(-1)!]!.length === 2)
        path.push(axis.near[path.at(-1)!]!.find((other) => other !== path.at(-2))!);
      const end = path.at(-1)!;
      if (groupOf.has(end) && (groupOf.get(end) === groupOf.get(fork) || end < fork)) continue;
      found.push(path);
    }
  }
  return found;
}

/** An end of its own for a thick fork behind a neck whose other branches are all thinner limbs. */
export function addHeads(axis: Axis, groups: readonly number[][], { points, radii, edges }: Joints): void {
  const groupOf = new Map(groups.flatMap((pixels, group) => pixels.map((pixel) => [pixel, group] as const)));
  const inner: [number, number[]][][] = groups.map(() => []);
  for (const path of segmentsOf(axis, groupOf)) {
    const [first, last] = [groupOf.get(path[0]!)!, groupOf.get(path.at(-1)!)];
    if (last === undefined) continue;
    inner[first]!.push([last, path]);
    inner[last]!.push([first, path]);
  }
  inner.forEach((ways, group) => {
    if (ways.length !== 1) return;
    const [other, path] = ways[0]!;
    const thinnest = Math.min(...path.map((i) => axis.radii[i]!));
    if (radii[group]! < 1.25 * thinnest || radii[group]! < 0.03 * GRID) return;
    points.push(along(points[other]!, points[group]!, 0.6 * radii[group]!));
    radii.push(radii[group]!); // it stands for the head and its thickness
    edges.push([group, points.length - 1]);
  });
}

function along([x, y]: Point, [u, v]: Point, further: number): Point {
  const factor = further / Math.max(Math.hypot(u - x, v - y), 1e-9);
  return [u + (u - x) * factor, v + (v - y) * factor];
}

/** What it costs to take one node for another. Costs are squared distances in a figure of size 1. */
import type { Vector } from './matrices';
import { extentOf, type Skeleton } from './skeleton';

/** By source node (or leaf) and target node (or leaf). */
export type Costs = readonly (readonly number[])[];

const [LEAF_PLACE, LEAF_BASE, LEAF_LENGTH] = [1, 0.35, 0.7];
const MOST_OF_LENGTH = 0.36;
const [LIMB_PLACE, LIMB_SHARE, TRUNK_SHARE, LIMB_TO_TRUNK] = [0.15, 0.5, 0.5, 0.04];

/** Places in the figure's box, so that thin and fat figures compare; depth is left out. */
export function placesOf(positions: readonly Vector[]): Vector[] {
  const extent = extentOf(positions);
  const longest = Math.max(...extent, 1e-12);
  const low = [0, 1].map((c) => positions.reduce((least, place) => Math.min(least, place[c]!), Infinity));
  const along = (place: Vector, c: 0 | 1): number => (place[c] - low[c]!) / Math.max(extent[c], 0.3 * longest);
  return positions.map((place) => [along(place, 0), along(place, 1), 0]);
}

export function squaredDistances(a: readonly Vector[], b: readonly Vector[]): number[][] {
  return a.map(([x, y, z]) => b.map(([u, v, w]) => (x - u) ** 2 + (y - v) ** 2 + (z - w) ** 2));
}

/** Where a limb leaves the body: the nearest ancestor with more than one branch, else the root. */
export function baseOf(skeleton: Skeleton, leaf: number): number {
  const above = skeleton.pathToRoot(leaf).slice(1);
  return above.find((joint) => skeleton.children[joint]!.length > 1) ?? above.at(-1)!;
}

export function limbLength(skeleton: Skeleton, leaf: number): number {
  return skeleton.ways[leaf]! - skeleton.ways[baseOf(skeleton, leaf)]!;
}

/** Places of the ends, places where the limbs leave the body, limbs' lengths. */
export function leafCosts(source: Skeleton, target: Skeleton, places: Costs): number[][] {
  const length = (skeleton: Skeleton, leaf: number): number =>
    limbLength(skeleton, leaf) / Math.max(skeleton.size, 1e-12);
  return source.leaves.map((s) =>
    target.leaves.map((t) => {
      const base = places[baseOf(source, s)]![baseOf(target, t)]!;
      return (
        LEAF_PLACE * places[s]![t]! +
        LEAF_BASE * base +
        LEAF_LENGTH * Math.min((length(source, s) - length(target, t)) ** 2, MOST_OF_LENGTH)
      );
    }),
  );
}

/** Limb to limb, body to body, and with a penalty limb to body. */
export function nodeCosts(source: Skeleton, target: Skeleton, places: Costs): number[][] {
  const [ours, theirs] = [sharesOf(source), sharesOf(target)];
  return ours.map((s, i) =>
    theirs.map((t, j) => {
      const place = places[i]![j]!;
      const apart = ((s.length - t.length) ** 2 + (s.count - t.count) ** 2) / 2;
      if (s.limb && t.limb) return LIMB_PLACE * place + LIMB_SHARE * apart;
      return s.limb || t.limb ? 0.5 * place + LIMB_TO_TRUNK : place + TRUNK_SHARE * apart;
    }),
  );
}

/** Whether a joint belongs to a limb, and how far along it is: by length, and counted in joints. */
interface Share {
  readonly limb: boolean;
  readonly length: number;
  readonly count: number;
}

function sharesOf(skeleton: Skeleton): Share[] {
  const { ways } = skeleton;
  const longest = Math.max(...ways, 1e-12);
  const shares: Share[] = ways.map((way) => ({ limb: false, length: way / longest, count: way / longest }));
  for (const leaf of skeleton.leaves) {
    const whole = skeleton.pathToRoot(leaf);
    const path = whole.slice(0, whole.indexOf(baseOf(skeleton, leaf)) + 1).reverse();
    const start = ways[path[0]!]!;
    const total = Math.max(ways[leaf]! - start, 1e-12);
    path.slice(1).forEach((joint, i) => {
      shares[joint] = { limb: true, length: (ways[joint]! - start) / total, count: (i + 1) / (path.length - 1) };
    });
  }
  return shares;
}

/**
 * Which source node drives each target node, by least mapping error, as reference/animation/retarget/mapping.py finds it:
 * leaves by assignment, then dynamic programming along the branches.
 */
import { assign } from './linear_algebra';
import { leafCosts, limbLength, nodeCosts, placesOf, squaredDistances, type Costs } from './mapping_costs';
import { transform, type Matrix } from './matrices';
import { Skeleton } from './skeleton';

const SKIP = 0.004;
const SHARE = 0.02;
const FARTHEST_EXTRA_LEAF = 0.12;
const FARTHEST_LEAF = 0.75;
const LAST_RESORT = 1e6;
const CHOSEN_ALONE = 0.3;
const LEAF_LONG = 0.28;
const LEFT_OVER = 0.05;
const ROOTS_TRIED = 3;

export interface Mapping {
  /** The target, perhaps hung up at another root than before. */
  readonly target: Skeleton;
  /** Source node and target node; a target node in no pair is merged into its parent. */
  readonly pairs: readonly (readonly [source: number, target: number])[];
  /** The turn that the source was seen in, so that it looks like the target. */
  readonly view: Matrix;
  /** Mean cost per target node; comparable between sources for one target. */
  readonly error: number;
}

/**
 * The best mapping over the views.
 *
 * @param extra further costs of a leaf for a leaf, by source and target node.
 * @param against what else speaks against each of the views; it isn't in the error.
 */
export function mapNodes(
  source: Skeleton,
  target: Skeleton,
  views: readonly Matrix[],
  extra: Costs,
  against: readonly number[],
): Mapping {
  const tried = views.map((view) => leastError(source, target, view, extra));
  const costs = tried.map(({ error }, i) => error + against[i]!);
  return tried[costs.indexOf(Math.min(...costs))]!;
}

function leastError(source: Skeleton, target: Skeleton, view: Matrix, extra: Costs): Mapping {
  const seen = new Skeleton(
    source.names,
    source.parents,
    source.positions.map((place) => transform(view, place)),
  );
  const costs = squaredDistances(placesOf(seen.positions), placesOf(target.positions));
  const inner = target.names.flatMap((_, joint) => (target.degree(joint) > 1 ? [joint] : []));
  const roots = (inner.length > 0 ? inner : [0]).toSorted((a, b) => costs[0]![a]! - costs[0]![b]! || a - b);
  let best: Mapping | undefined;
  for (const root of roots.slice(0, ROOTS_TRIED)) {
    const { skeleton: hung, order } = target.hungAt(root);
    const inOrder = (rows: Costs): number[][] => rows.map((row) => order.map((joint) => row[joint]!));
    const { pairs, error } = mapRooted(seen, hung, inOrder(costs), inOrder(extra));
    if (best === undefined || error < best.error - 1e-12) best = { target: hung, pairs, view, error };
  }
  return best!;
}

function mapRooted(source: Skeleton, target: Skeleton, places: Costs, extra: Costs): Pick<Mapping, 'pairs' | 'error'> {
  const { leafOf, cost } = assignLeaves(source, target, places, extra);
  if (leafOf.size === 0) return { pairs: [[0, 0]], error: places[0]![0]! };
  const allowed = allowedNodes(source, target, leafOf);
  const { partner, total } = program(source, target, nodeCosts(source, target, places), allowed, leafOf);
  const unmatched = source.leaves.length - new Set(leafOf.values()).size;
  const missed = target.leaves.length - leafOf.size;
  const error = (total + cost + LEFT_OVER * (unmatched + missed)) / Math.max(partner.size, 1);
  const pairs = [...partner].toSorted(([a], [b]) => a - b).map(([t, s]) => [s, t] as const);
  return { pairs, error };
}

/** Target leaf to source leaf: one-to-one as far as both last, then the surplus to near leaves. */
function assignLeaves(
  source: Skeleton,
  target: Skeleton,
  places: Costs,
  extra: Costs,
): { leafOf: Map<number, number>; cost: number } {
  const leafOf = new Map<number, number>();
  if (source.leaves.length === 0 || target.leaves.length === 0) return { leafOf, cost: 0 };
  const costs = leafCosts(source, target, places).map((row, i) =>
    row.map((value, j) => value + extra[source.leaves[i]!]![target.leaves[j]!]!),
  );
  // A corner of a skirt is no arm: long limbs go first. It says nothing about the fit, so it isn't in the error.
  const lengths = target.leaves.map((leaf) => limbLength(target, leaf));
  const longest = Math.max(...lengths, 1e-12);
  // Columns of their own: rather no partner than a foot for a muzzle.
  const wished = costs.map((row) => row.map((value, j) => value - (LEAF_LONG * lengths[j]!) / longest));
  // Where every partner is that far, as for a coiled snake, any is better than a figure that can't move.
  const alone = Math.min(...wished.flat()) < FARTHEST_LEAF ? FARTHEST_LEAF : LAST_RESORT;
  wished.forEach((row) => row.push(...source.leaves.map(() => alone)));
  let [cost, matched] = [0, 0];
  assign(wished).forEach((column, row) => {
    if (column >= target.leaves.length) return;
    leafOf.set(target.leaves[column]!, source.leaves[row]!);
    cost += costs[row]![column]!;
    matched++;
  });
  target.leaves.forEach((leaf, column) => {
    let nearest = 0;
    costs.forEach((row, i) => {
      if (row[column]! < costs[nearest]![column]!) nearest = i;
    });
    if (!leafOf.has(leaf) && costs[nearest]![column]! < FARTHEST_EXTRA_LEAF) leafOf.set(leaf, source.leaves[nearest]!);
  });
  const unmatched = Math.min(source.leaves.length, target.leaves.length) - matched;
  return { leafOf, cost: cost + CHOSEN_ALONE * unmatched };
}

/** Source nodes that a target node may take: on the common way from the root to all its leaves' partners. */
function allowedNodes(
  source: Skeleton,
  target: Skeleton,
  leafOf: ReadonlyMap<number, number>,
): ReadonlyMap<number, readonly number[]> {
  const allowed = new Map<number, number[]>();
  for (const [leaf, partner] of leafOf) {
    const way = source.pathToRoot(partner);
    for (const joint of target.pathToRoot(leaf))
      allowed.set(joint, (allowed.get(joint) ?? way).filter((node) => way.includes(node))); // prettier-ignore
  }
  for (const nodes of allowed.values()) nodes.sort((a, b) => a - b);
  return allowed;
}

interface Choice {
  readonly total: number;
  readonly pairs: readonly (readonly [target: number, source: number])[];
}

/** Least total cost of partners that follow the order of the branches; root to root, leaf to its leaf. */
function program(
  source: Skeleton,
  target: Skeleton,
  costs: Costs,
  allowed: ReadonlyMap<number, readonly number[]>,
  leafOf: ReadonlyMap<number, number>,
): { partner: Map<number, number>; total: number } {
  const steps = stepsOf(source);
  const known = new Map<number, Choice>();
  const best = (t: number, s: number): Choice => {
    const key = t * source.length + s;
    const stored = known.get(key);
    if (stored) return stored;
    let total = costs[s]![t]!;
    const pairs: (readonly [number, number])[] = [[t, s]];
    for (const child of target.children[t]!) {
      const options = leafOf.has(child) ? [leafOf.get(child)!] : allowed.get(child);
      if (options === undefined) continue;
      let found: Choice | undefined;
      for (const other of options) {
        const count = steps[s]![other]!;
        if (count < 0) continue;
        const below = best(child, other);
        const cost = below.total + (other === s ? SHARE : SKIP * (count - 1));
        if (found === undefined || cost < found.total) found = { total: cost, pairs: below.pairs };
      }
      if (found === undefined) {
        total = Infinity;
        break;
      }
      total += found.total;
      pairs.push(...found.pairs);
    }
    const choice = total === Infinity ? { total, pairs: [] } : { total, pairs };
    known.set(key, choice);
    return choice;
  };
  const { total, pairs } = best(0, 0);
  return { partner: new Map(pairs), total };
}

/** Number of bones from an ancestor down to a descendant; -1 where there is no such way. */
function stepsOf(source: Skeleton): number[][] {
  const steps = source.names.map(() => source.names.map(() => -1));
  source.names.forEach((_, joint) =>
    source.pathToRoot(joint).forEach((above, count) => (steps[above]![joint] = count)),
  );
  return steps;
}

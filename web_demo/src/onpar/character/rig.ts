/** A figure with its mesh and the skeleton found in it, and the sources that fit it. */
import { inflate, toFrame, type Body } from './body';
import { findContours, toPicture, type Contours } from './contours';
import { lean, symmetry } from './evidence';
import { mapNodes, type Mapping } from './mapping';
import { aboutY } from './matrices';
import { findSkeleton, type Medial } from './medial';
import { Skeleton } from './skeleton';
import type { Source, Topology } from './sources';
import type { Bits } from './grids';

/** How a source is looked at: a drawn person faces us, a drawn animal shows its side. */
const SIDES = [90, -90];
const VIEWS: Readonly<Record<Topology, readonly number[]>> = {
  two_feet: [0],
  four_feet: SIDES,
  winged: [...SIDES, 0],
  two_feet_tail: SIDES,
  no_feet: SIDES,
  many_feet: [0],
};
const SYMMETRIC = 0.65;
const [LIFTED, LIFTED_COST] = [0.45, 2];
const THICKNESS_COST = 0.5;
/** Of looking away from the side that the figure is high on: a head is held up, also on a thin neck. */
const HEADS_UP: readonly Topology[] = ['four_feet', 'winged', 'two_feet_tail'];
const LEAN_COST = 0.7;

export interface Rig {
  readonly contours: Contours;
  readonly body: Body;
  readonly medial: Medial;
  readonly skeleton: Skeleton;
}

export type Facing = 'front' | 'left' | 'right';

export function rigFigure(mask: Bits): Rig {
  const contours = findContours(mask);
  const body = inflate(contours);
  const medial = findSkeleton(contours);
  const skeleton = new Skeleton(
    medial.points.map((_, i) => (i === 0 ? 'root' : `joint_${i}`)),
    medial.parents,
    medial.points.map((point) => toFrame(body, toPicture(contours, point))),
  );
  return { contours, body, medial, skeleton };
}

/** The mapping between a figure and a source, seen from the sides that suit its topology. */
export function mapSource(rig: Rig, source: Source): Mapping {
  let angles = VIEWS[source.topology];
  if (source.topology === 'winged' && symmetry(rig.contours.grid) < SYMMETRIC) angles = SIDES;
  const up = HEADS_UP.includes(source.topology) ? lean(rig.contours.grid) : 0;
  const against = angles.map((angle) => LEAN_COST * Math.max(0, -up * Math.sign(angle)));
  return mapNodes(source.skeleton, rig.skeleton, angles.map(aboutY), thicknessCosts(rig, source), against);
}

export function facingOf({ view }: Mapping): Facing {
  if (Math.abs(view[2]!) < 0.5) return 'front';
  return view[2]! > 0 ? 'right' : 'left';
}

/** What it costs to take a thin limb for a head, a thick one for a tail, or what is up for a foot. */
function thicknessCosts(rig: Rig, { skeleton, thick, thin, feet }: Source): number[][] {
  const thickness = limbThickness(rig);
  const costs = skeleton.names.map(() => thickness.map(() => 0));
  const tallest = Math.max(...rig.skeleton.positions.map(([, y]) => y), 1e-9);
  for (const joint of thick) thickness.forEach((value, t) => (costs[joint]![t]! += THICKNESS_COST * (1 - value)));
  for (const joint of thin) thickness.forEach((value, t) => (costs[joint]![t]! += THICKNESS_COST * value));
  for (const joint of feet)
    rig.skeleton.positions.forEach(([, y], t) => {
      costs[joint]![t]! += LIFTED_COST * Math.max(y / tallest - LIFTED, 0);
    });
  return costs;
}

/** Greatest radius in each limb's outer half, relative to the figure's thickest; 0 for joints that end nothing. */
function limbThickness(rig: Rig): number[] {
  const { radii } = rig.medial;
  // Seen from the thickest joint that ends nothing: the root may lie among the horns, and a head may be thicker.
  const inner = radii.map((radius, joint) => (rig.skeleton.degree(joint) > 1 ? radius : 0));
  const thickest = inner.indexOf(Math.max(...inner));
  const { skeleton, order } = rig.skeleton.hungAt(thickest);
  const { ways } = skeleton;
  const result = radii.map(() => 0);
  for (const leaf of skeleton.leaves) {
    const path = skeleton.pathToRoot(leaf);
    let forks = path.flatMap((joint, i) => (i > 0 && skeleton.children[joint]!.length > 1 ? [i] : []));
    if (forks.length === 0) forks = [path.length - 1];
    const small = forks.length > 1 && isSmallEnd(skeleton, path[forks[0]!]!, path[forks[1]!]!);
    const end = small ? forks[1]! : forks[0]!;
    // Near the fork is the body: a short tail would be as thick as the rump that it hangs on.
    const half = (ways[leaf]! - ways[path[end]!]!) / 2;
    const outer = path.slice(0, Math.max(1, end)).filter((joint) => ways[leaf]! - ways[joint]! <= half);
    result[order[leaf]!] = Math.max(...outer.map((joint) => radii[order[joint]!]!));
  }
  const most = Math.max(...result, 1e-12);
  return result.map((value) => value / most);
}

/** Whether everything beyond a fork is short against the way from the fork before it. */
function isSmallEnd(skeleton: Skeleton, fork: number, before: number): boolean {
  const { ways, leaves } = skeleton;
  const beyond = leaves.filter((leaf) => skeleton.pathToRoot(leaf).includes(fork)).map((leaf) => ways[leaf]!);
  return Math.max(...beyond) - ways[fork]! < 0.6 * (ways[fork]! - ways[before]!);
}

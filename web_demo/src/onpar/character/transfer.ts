/** The source's clip drives the target, as reference/animation/retarget/transfer.py carries it over. */
import { toLocal } from './alignment';
import {
  aboutZ,
  IDENTITY,
  minus,
  multiply,
  plus,
  shortestArc,
  times,
  transform,
  transposed,
  type Matrix,
  type Vector,
} from './matrices';
import { forward, type Clip, type Pose, type Skeleton } from './skeleton';

const TINY = 1e-9;

/** How the source's rest pose becomes the target's: world rotations of every node, and target lengths per source's. */
export interface Offsets {
  readonly root: Matrix;
  readonly rotations: readonly Matrix[];
  readonly scale: number;
}

/**
 * Offsets of all nodes, root to leaf; bones are turned in the picture plane only.
 *
 * @param keep share of the target's own pose that is kept, 0 to 1.
 */
export function alignNodes(source: Skeleton, target: Skeleton, view: Matrix, keep: number): Offsets {
  const rotations: Matrix[] = [];
  source.children.forEach((below, joint) => {
    const parent = source.parents[joint]!;
    let turn = parent < 0 ? view : rotations[parent]!;
    // Where branches meet, the body is not bent to fit them.
    if (below.length === 1) {
      const seen = transform(view, source.offset(below[0]!));
      turn = multiply(inPlane(seen, target.offset(below[0]!), multiply(turn, transposed(view)), keep), turn);
    }
    rotations.push(turn);
  });
  return { root: view, rotations, scale: lengthOf(target) / lengthOf(source) || 1 };
}

/** Total length of the bones; 1 of a single joint. */
function lengthOf(skeleton: Skeleton): number {
  const total = skeleton.names.reduce((sum, _, joint) => sum + (joint && Math.hypot(...skeleton.offset(joint))), 0);
  return total > TINY ? total : 1;
}

/** The turn about the viewing axis that brings a bone as seen to its target, on top of the turns so far. */
function inPlane(seen: Vector, after: Vector, soFar: Matrix, keep: number): Matrix {
  const flat = (bone: Vector): number => Math.hypot(bone[0], bone[1]) / Math.max(Math.hypot(...bone), TINY);
  if (Math.min(flat(seen), flat(after)) < 0.5) return IDENTITY; // a bone that points to the viewer has no direction
  const before = transform(soFar, seen);
  const angle = Math.atan2(after[1], after[0]) - Math.atan2(before[1], before[0]);
  const round = 2 * Math.PI;
  return aboutZ(((((angle + Math.PI) % round) + round) % round - Math.PI) * (1 - keep)); // prettier-ignore
}

/** Carries a clip over to the target, without the source's twist of limbs about themselves. */
export function transfer(source: Skeleton, clip: Clip, target: Skeleton, offsets: Offsets): Clip {
  const pose = forward(source, clip);
  const inverse = offsets.rotations.map(transposed);
  const rotations = pose.rotations.map((world) => {
    const turned = world.map((turn, joint) => multiply(multiply(offsets.root, turn), inverse[joint]!));
    return toLocal(withoutTwist(target, turned), target.parents);
  });
  const translations = pose.positions.map((places) =>
    times(transform(offsets.root, minus(places[0]!, source.positions[0]!)), offsets.scale),
  );
  return { name: clip.name, frameRate: clip.frameRate, rotations, translations };
}

function withoutTwist(skeleton: Skeleton, rotations: readonly Matrix[]): Matrix[] {
  const result = [...rotations];
  skeleton.children.forEach((below, joint) => {
    const parent = skeleton.parents[joint]!;
    if (parent < 0 || below.length > 1) return; // the body turns as a whole
    const above = result[parent]!;
    if (below.length === 0) {
      result[joint] = above;
      return;
    }
    const bone = skeleton.offset(below[0]!);
    const arc = shortestArc(transform(above, bone), transform(rotations[joint]!, bone));
    result[joint] = multiply(arc, above);
  });
  return result;
}

/** Begins at rest and removes the way that the root travels to the last frame; its swaying stays. */
export function inPlace(clip: Clip): Clip {
  const [first, last] = [clip.translations[0]!, clip.translations.at(-1)!];
  const steps = Math.max(clip.translations.length - 1, 1);
  const translations = clip.translations.map(([x, y, z], i): Vector => {
    const share = i / steps;
    return [x - first[0] - share * (last[0] - first[0]), y, z - first[2] - share * (last[2] - first[2])];
  });
  return { ...clip, translations };
}

/** Height of the lowest foot in every frame. */
export function lowest(pose: Pose, feet: readonly number[]): number[] {
  return pose.positions.map((places) => Math.min(...feet.map((foot) => places[foot]![1])));
}

/** Mean distance from the feet to where their legs leave the body. */
export function legLength(skeleton: Skeleton, feet: readonly number[]): number {
  const lengths = feet.map((foot) => {
    const path = skeleton.pathToRoot(foot);
    const top = path.slice(1).find((joint) => skeleton.children[joint]!.length > 1) ?? path.at(-1)!;
    return Math.hypot(...minus(skeleton.positions[foot]!, skeleton.positions[top]!));
  });
  return lengths.reduce((a, b) => a + b, 0) / lengths.length;
}

/** Lifts or lowers every frame so that the lowest foot is `clearance` above its place at rest. */
export function stand(clip: Clip, target: Skeleton, feet: readonly number[], clearance: readonly number[]): Clip {
  const heights = lowest(forward(target, clip), feet);
  const ground = Math.min(...feet.map((foot) => target.positions[foot]![1]));
  const translations = clip.translations.map((way, i) => plus(way, [0, ground + clearance[i]! - heights[i]!, 0]));
  return { ...clip, translations };
}

/** Skeletons, and clips that move them, as reference/animation/motion/skeleton.py has them. */
import { multiply, plus, transform, type Matrix, type Vector } from './matrices';

/** A rooted tree of joints at rest: joint 0 is the root, a parent comes before its children. */
export class Skeleton {
  readonly children: readonly (readonly number[])[];
  /** Joints without children; the root of a one-joint skeleton is none. */
  readonly leaves: readonly number[];
  /** Length of the way along the bones from the root. */
  readonly ways: readonly number[];
  readonly size: number;

  constructor(
    readonly names: readonly string[],
    readonly parents: readonly number[],
    readonly positions: readonly Vector[],
  ) {
    const children: number[][] = names.map(() => []);
    parents.forEach((parent, joint) => parent >= 0 && children[parent]!.push(joint));
    this.children = children;
    this.leaves = children.flatMap((below, joint) => (below.length === 0 && joint > 0 ? [joint] : []));
    const ways: number[] = [];
    parents.forEach((parent, joint) => ways.push(parent < 0 ? 0 : ways[parent]! + Math.hypot(...this.offset(joint))));
    this.ways = ways;
    this.size = Math.hypot(...extentOf(positions));
  }

  get length(): number {
    return this.names.length;
  }

  /** From the parent to the joint at rest; the root's is its position. */
  offset(joint: number): Vector {
    const [x, y, z] = this.positions[joint]!;
    const parent = this.parents[joint]!;
    if (parent < 0) return [x, y, z];
    const [u, v, w] = this.positions[parent]!;
    return [x - u, y - v, z - w];
  }

  /** Number of branches that meet at a joint. */
  degree(joint: number): number {
    return this.children[joint]!.length + (this.parents[joint]! >= 0 ? 1 : 0);
  }

  /** The joint, its parent, and so on up to the root. */
  pathToRoot(joint: number): number[] {
    const path = [joint];
    for (let at = this.parents[joint]!; at >= 0; at = this.parents[at]!) path.push(at);
    return path;
  }

  /** The same joints and bones hung up at another joint; the order of its joints in this skeleton's numbers. */
  hungAt(root: number): { skeleton: Skeleton; order: number[] } {
    const order = [root];
    const parent = new Map([[root, -1]]);
    for (const joint of order) {
      const above = this.parents[joint]!;
      for (const other of above >= 0 ? [...this.children[joint]!, above] : this.children[joint]!) {
        if (parent.has(other)) continue;
        parent.set(other, joint);
        order.push(other); // grows while it is read
      }
    }
    const number = new Map(order.map((joint, i) => [joint, i]));
    const skeleton = new Skeleton(
      order.map((joint) => this.names[joint]!),
      order.map((joint) => number.get(parent.get(joint)!) ?? -1),
      order.map((joint) => this.positions[joint]!),
    );
    return { skeleton, order };
  }
}

/** Width, height and depth of the points' box. */
export function extentOf(points: readonly Vector[]): [number, number, number] {
  const [low, high] = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]]; // prettier-ignore
  for (const point of points) {
    for (let c = 0; c < 3; c++) {
      low[c] = Math.min(low[c]!, point[c]!);
      high[c] = Math.max(high[c]!, point[c]!);
    }
  }
  return [high[0]! - low[0]!, high[1]! - low[1]!, high[2]! - low[2]!];
}

/** Per frame and joint a rotation relative to the parent in the axes of the rest pose, and the root's way from rest. */
export interface Clip {
  readonly name: string;
  readonly frameRate: number;
  readonly rotations: readonly (readonly Matrix[])[];
  readonly translations: readonly Vector[];
}

/** Per frame every joint's rotation from rest and place in the world. */
export interface Pose {
  readonly rotations: readonly (readonly Matrix[])[];
  readonly positions: readonly (readonly Vector[])[];
}

/** Places every joint of every frame in the world. */
export function forward(skeleton: Skeleton, clip: Clip): Pose {
  const offsets = skeleton.names.map((_, joint) => skeleton.offset(joint));
  const rotations: Matrix[][] = [];
  const positions: Vector[][] = [];
  clip.rotations.forEach((local, frame) => {
    const turns: Matrix[] = [];
    const places: Vector[] = [];
    skeleton.parents.forEach((parent, joint) => {
      if (parent < 0) {
        turns.push(local[joint]!);
        places.push(plus(offsets[0]!, clip.translations[frame]!));
        return;
      }
      turns.push(multiply(turns[parent]!, local[joint]!));
      places.push(plus(places[parent]!, transform(turns[parent]!, offsets[joint]!)));
    });
    rotations.push(turns);
    positions.push(places);
  });
  return { rotations, positions };
}

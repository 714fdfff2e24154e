/** How far each vertex follows each joint: weights from heat, as reference/animation/figure/skinning.py finds them. */
import type { Body } from './body';
import { laplacian } from './laplacian';
import { Cholesky } from './linear_algebra';
import type { Point } from './axis';
import type { Skeleton } from './skeleton';

const INFLUENCES = 4;
const HEAT = 4;

/** Joints and weights of each vertex, four each; the weights sum to 1. */
export function skinWeights(body: Body, skeleton: Skeleton): { joints: Uint8Array; weights: Float32Array } {
  const count = body.flat.points.length;
  const points = body.vertices.slice(0, count).map(([x, y]): Point => [x, y]);
  const { triangles, rim } = body.flat;
  const { owner, distance } = nearestBones(points, triangles, skeleton);
  const outline = points.filter((_, i) => rim[i]);
  const { weights: edges, areas } = laplacian(points, triangles);
  // Distance from the bone plus distance to the outline is about the limb's radius: joints bend over that length.
  const heat = points.map((point, i) => {
    const radius = Math.max(distance[i]! + Math.min(...outline.map((other) => apart(point, other))), 1e-3);
    return (areas[i]! * HEAT) / radius ** 2;
  });
  const diagonal = Float64Array.from(heat);
  for (const [a, b, value] of edges) {
    diagonal[a]! += value;
    diagonal[b]! += value;
  }
  const solver = new Cholesky({ diagonal, pairs: edges.map(([a, b, value]) => [a, b, -value] as const) });
  const dense = skeleton.names.map((_, joint) =>
    solver.solve(Float64Array.from(heat, (value, i) => (owner[i] === joint ? value : 0))),
  );
  const joints = new Uint8Array(INFLUENCES * body.vertices.length);
  const weights = new Float32Array(INFLUENCES * body.vertices.length);
  body.twin.forEach((i, v) => {
    const found = dense.map((values, joint) => ({ joint, value: Math.max(values[i]!, 0) }));
    const all = found.reduce((sum, { value }) => sum + value, 0);
    const used = found
      .map(({ joint, value }) => ({ joint, value: value / all }))
      .sort((a, b) => b.value - a.value)
      .slice(0, INFLUENCES)
      .filter(({ value }) => value >= 1e-4);
    const total = used.reduce((sum, { value }) => sum + value, 0);
    used.forEach(({ joint, value }, k) => {
      joints[INFLUENCES * v + k] = joint;
      weights[INFLUENCES * v + k] = value / total;
    });
  });
  return { joints, weights };
}

function apart([x, y]: Point, [u, v]: Point): number {
  return Math.hypot(x - u, y - v);
}

/** The joint whose bone is nearest inside the figure, and how far it is. A bone belongs to the joint where it begins. */
function nearestBones(
  points: readonly Point[],
  triangles: readonly (readonly [number, number, number])[],
  skeleton: Skeleton,
): { owner: Int32Array; distance: Float64Array } {
  const owner = new Int32Array(points.length);
  const distance = new Float64Array(points.length).fill(skeleton.length > 1 ? Infinity : 1);
  const near: [number, number][][] = points.map(() => []);
  const lengths: number[] = [];
  const known = new Set<number>();
  for (const [a, b, c] of triangles) {
    for (const [i, j] of [
      [a, b],
      [b, c],
      [c, a],
    ] as const) {
      // prettier-ignore
      const length = apart(points[i]!, points[j]!);
      lengths.push(length);
      const key = Math.min(i, j) * points.length + Math.max(i, j);
      if (known.has(key)) continue;
      known.add(key);
      near[i]!.push([j, length]);
      near[j]!.push([i, length]);
    }
  }
  const reach = 1.5 * lengths.sort((a, b) => a - b)[lengths.length >> 1]!;
  skeleton.parents.forEach((parent, child) => {
    if (parent < 0) return;
    const straight = points.map((point) => toSegment(point, skeleton.positions[parent]!, skeleton.positions[child]!));
    const ways = fromBone(straight, near, reach);
    ways.forEach((way, i) => {
      const length = Math.max(way, straight[i]!);
      if (length < distance[i]!) [distance[i], owner[i]] = [length, parent];
    });
  });
  return { owner, distance };
}

/** Ways from points beside a bone on through the mesh (Dijkstra 1959, with a heap). */
function fromBone(straight: readonly number[], near: readonly [number, number][][], reach: number): Float64Array {
  const least = Math.max(reach, Math.min(...straight) * 1.001);
  const ways = new Float64Array(straight.length).fill(Infinity);
  const heap: [number, number][] = [];
  straight.forEach((value, i) => {
    if (value > least) return;
    ways[i] = Math.max(value, 1e-6);
    push(heap, [ways[i]!, i]);
  });
  while (heap.length > 0) {
    const [way, i] = pop(heap);
    if (way > ways[i]!) continue;
    for (const [other, length] of near[i]!) {
      if (way + length >= ways[other]!) continue;
      ways[other] = way + length;
      push(heap, [way + length, other]);
    }
  }
  return ways;
}

function push(heap: [number, number][], item: [number, number]): void {
  let i = heap.length;
  while (i > 0 && heap[(i - 1) >> 1]![0] > item[0]) {
    heap[i] = heap[(i - 1) >> 1]!;
    i = (i - 1) >> 1;
  }
  heap[i] = item;
}

function pop(heap: [number, number][]): [number, number] {
  const [first, last] = [heap[0]!, heap.pop()!];
  if (heap.length === 0) return first;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]![0] < heap[child]![0]) child++;
    if (heap[child]![0] >= last[0]) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = last;
  return first;
}

function toSegment([x, y]: Point, a: readonly number[], b: readonly number[]): number {
  const [dx, dy] = [b[0]! - a[0]!, b[1]! - a[1]!];
  const share = ((x - a[0]!) * dx + (y - a[1]!) * dy) / Math.max(dx * dx + dy * dy, 1e-18);
  const along = Math.min(Math.max(share, 0), 1);
  return Math.hypot(x - a[0]! - along * dx, y - a[1]! - along * dy);
}

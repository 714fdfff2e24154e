/** Which limbs are drawn before others: those that the source has nearer to the viewer. */
import { transform, type Matrix } from './matrices';
import { extentOf, type Skeleton } from './skeleton';

const LAYER = 0.06;
const FLAT_SOURCE = 0.03;

/** How far each joint of an aligned skeleton is drawn towards the viewer, in figure heights. */
export function layersOf(source: Skeleton, view: Matrix, sourceNodes: readonly (readonly number[])[]): number[] {
  const depth = source.positions.map((place) => transform(view, place)[2]);
  const size = Math.max(...extentOf(source.positions), 1e-9);
  const joints = sourceNodes.map((nodes) => (depth[nodes.at(-1)!]! - depth[0]!) / size);
  const most = Math.max(...joints.map(Math.abs));
  if (most < FLAT_SOURCE) return joints.map(() => 0);
  return joints.map((value) => (value / Math.max(most, 1e-9)) * LAYER);
}

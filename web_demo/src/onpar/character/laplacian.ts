/** How heat spreads over a flat mesh. */
import type { Point } from './axis';

const STIFFEST = 20;

/** Every edge once with its weight (the mean of the cotangents across, cut off at 0), and each vertex's area. */
export function laplacian(
  points: readonly Point[],
  triangles: readonly (readonly [number, number, number])[],
): { weights: [a: number, b: number, weight: number][]; areas: Float64Array } {
  const areas = new Float64Array(points.length);
  const sums = new Map<number, number>();
  for (const [a, b, c] of triangles) {
    for (const [i, j, k] of [
      [a, b, c],
      [b, c, a],
      [c, a, b],
    ] as const) {
      // prettier-ignore
      const [u, v] = [from(points, i, j), from(points, i, k)];
      const cross = Math.abs(u[0] * v[1] - u[1] * v[0]);
      const cotangent = (u[0] * v[0] + u[1] * v[1]) / Math.max(cross, 1e-12) / 2;
      const key = Math.min(j, k) * points.length + Math.max(j, k);
      sums.set(key, (sums.get(key) ?? 0) + Math.min(Math.max(cotangent, -STIFFEST), STIFFEST));
      areas[i]! += cross / 6;
    }
  }
  const weights = [...sums].map(([key, value]): [number, number, number] => [
    Math.floor(key / points.length),
    key % points.length,
    Math.max(value, 0),
  ]);
  return { weights, areas };
}

function from(points: readonly Point[], i: number, j: number): Point {
  return [points[j]![0] - points[i]![0], points[j]![1] - points[i]![1]];
}

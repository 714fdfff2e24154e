/** An inflated figure: a mesh with front and back, as reference/animation/figure/shape.py makes it. */
import { toPicture, type Contours } from './contours';
import { laplacian } from './laplacian';
import { Cholesky } from './linear_algebra';
import type { Vector } from './matrices';
import { triangulated, type FlatMesh } from './mesh';
import type { Point } from './axis';

const THICKNESS = 0.55;

export interface Body {
  /** x right, y up, z to the viewer; the figure is one unit tall, its lowest point at y = 0, centred in x. */
  readonly vertices: readonly Vector[];
  /** Counter-clockwise from outside. */
  readonly faces: readonly (readonly [number, number, number])[];
  /** Where each vertex lies in the picture. */
  readonly pixels: readonly Point[];
  /** The front's triangles over the first `front` vertices. */
  readonly flat: FlatMesh;
  /** Vertex of the front that lies at the same place of the picture. */
  readonly twin: readonly number[];
  /** Picture pixels per unit, and where the frame's origin lies in the picture. */
  readonly unitPx: number;
  readonly footPx: Point;
}

/** A place in the picture as a point of the frame in the plane z = 0. */
export function toFrame({ unitPx, footPx }: Pick<Body, 'unitPx' | 'footPx'>, [x, y]: Point): Vector {
  return [(x - footPx[0]) / unitPx, (footPx[1] - y) / unitPx, 0];
}

/** The triangulated figure twice, pushed apart by the square root of a membrane's height. */
export function inflate(contours: Contours): Body {
  const flat = triangulated(contours);
  const heights = membrane(flat);
  const front = flat.points.length;
  const inner = flat.rim.flatMap((onRim, i) => (onRim ? [] : [i]));
  const backOf = flat.points.map((_, i) => i);
  inner.forEach((i, k) => (backOf[i] = front + k));
  const twin = [...flat.points.keys(), ...inner];
  const pixels = twin.map((i) => toPicture(contours, flat.points[i]!));
  // By the whole outline, which doesn't hang on where its points were taken.
  const outline = contours.lines[0]!.map((point) => toPicture(contours, point));
  const [xs, ys] = [outline.map(([x]) => x), outline.map(([, y]) => y)];
  const low = [Math.min(...xs), Math.min(...ys)] as const;
  const high = [Math.max(...xs), Math.max(...ys)] as const;
  const unitPx = high[1] - low[1];
  const footPx: Point = [(low[0] + high[0]) / 2, high[1]];
  const vertices = pixels.map((pixel, v): Vector => {
    const [x, y] = toFrame({ unitPx, footPx }, pixel);
    const z = (heights[twin[v]!]! * contours.scale) / unitPx;
    return [x, y, v < front ? z : -z];
  });
  // y points down in the picture and up in the frame: what is counter-clockwise there is clockwise here.
  const faces = [
    ...flat.triangles.map(([a, b, c]) => [c, b, a] as const),
    ...flat.triangles.map(([a, b, c]) => [backOf[a]!, backOf[b]!, backOf[c]!] as const),
  ];
  return { vertices, faces, pixels, flat, twin, unitPx, footPx };
}

/** A disc of radius r has the membrane (r^2 - d^2) / 4 and becomes a flattened ball. */
function membrane(flat: FlatMesh): Float64Array {
  const { weights, areas } = laplacian(flat.points, flat.triangles);
  const inner = flat.rim.flatMap((onRim, i) => (onRim ? [] : [i]));
  const heights = new Float64Array(flat.points.length);
  if (inner.length === 0) return heights;
  const place = new Map(inner.map((node, k) => [node, k]));
  const diagonal = new Float64Array(inner.length);
  const pairs: [number, number, number][] = [];
  for (const [a, b, value] of weights) {
    const [i, j] = [place.get(a), place.get(b)];
    if (i !== undefined) diagonal[i]! += value;
    if (j !== undefined) diagonal[j]! += value;
    if (i !== undefined && j !== undefined) pairs.push([i, j, -value]);
  }
  const solved = new Cholesky({ diagonal, pairs }).solve(Float64Array.from(inner, (i) => areas[i]!));
  inner.forEach((i, k) => (heights[i] = THICKNESS * Math.sqrt(Math.max(4 * solved[k]!, 0))));
  return heights;
}

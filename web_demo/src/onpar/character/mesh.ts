/** A figure's triangles: its outline and a lattice inside, by Delaunay (the library is Delaunator). */
import Delaunator from 'delaunator';
import type { Point } from './axis';
import { GRID, roundEven, type Contours, type Line } from './contours';
import { toNearestEmpty } from './grids';

/** Edge length of the mesh in grid pixels. */
export const SPACING = GRID / 64;
/** Of a triangle's two areas, in squared edge lengths of the mesh. */
const FLATTEST = 1e-6;
const REFINEMENTS = 8;

type Triangles = Pick<Delaunator<ArrayLike<number>>, 'triangles' | 'halfedges'>;

export interface FlatMesh {
  readonly points: readonly Point[];
  /** Clockwise in the frame with y up, as found in the picture with y down. */
  readonly triangles: readonly (readonly [number, number, number])[];
  /** Whether a point lies on the rim: on an edge that only one triangle has. */
  readonly rim: readonly boolean[];
}

export function triangulated(contours: Contours): FlatMesh {
  const { points, delaunay, lines } = conforming(contours.lines.map(sampled), lattice(contours));
  return splitBridges(points, insideTriangles(points, delaunay, lines));
}

/**
 * Points and their Delaunay triangles, with points added to the lines until these are edges of triangles. Where a limb is
 * thinner than the mesh is fine, triangles would else join its two sides across what lies outside.
 */
function conforming(
  lines: Point[][],
  inner: readonly Point[],
): { points: Point[]; delaunay: Triangles; lines: Point[][] } {
  for (let round = 1; ; round++) {
    const points = [...lines.flat(), ...inner];
    const delaunay = Delaunator.from(points as [number, number][]);
    const { triangles } = delaunay;
    const key = (a: number, b: number): number => Math.min(a, b) * points.length + Math.max(a, b);
    const edges = new Set<number>();
    for (let i = 0; i < triangles.length; i++) edges.add(key(triangles[i]!, triangles[i % 3 === 2 ? i - 2 : i + 1]!));
    let [start, missed] = [0, 0];
    const finer = lines.map((line) => {
      const first = start;
      start += line.length;
      return line.flatMap((point, i): Point[] => {
        const next = (i + 1) % line.length;
        if (edges.has(key(first + i, first + next))) return [point];
        missed++;
        return [point, [(point[0] + line[next]![0]) / 2, (point[1] + line[next]![1]) / 2]];
      });
    });
    if (missed === 0 || round === REFINEMENTS) return { points, delaunay, lines };
    lines = finer;
  }
}

function sampled(line: Line): Point[] {
  const closed = [...line, line[0]!];
  const way = [0];
  for (let i = 1; i < closed.length; i++)
    way.push(way[i - 1]! + Math.hypot(closed[i]![0] - closed[i - 1]![0], closed[i]![1] - closed[i - 1]![1]));
  const total = way.at(-1)!;
  const count = Math.max(8, roundEven(total / SPACING));
  let at = 0;
  return Array.from({ length: count }, (_, k) => {
    const wanted = (k * total) / count;
    while (way[at + 1]! < wanted) at++;
    const share = (wanted - way[at]!) / Math.max(way[at + 1]! - way[at]!, 1e-12);
    const [[x, y], [u, v]] = [closed[at]!, closed[at + 1]!];
    return [x + share * (u - x), y + share * (v - y)];
  });
}

/** A triangular lattice inside, not too near to the outline. */
function lattice({ grid }: Contours): Point[] {
  const { squared } = toNearestEmpty(grid);
  const points: Point[] = [];
  const step = (SPACING * Math.sqrt(3)) / 2;
  for (let row = 0; row * step < grid.height - 1; row++) {
    for (let x = (SPACING / 2) * (row % 2); x < grid.width - 1; x += SPACING) {
      const pixel = roundEven(row * step) * grid.width + roundEven(x);
      if (Math.sqrt(squared[pixel]!) > 0.7 * SPACING) points.push([x, row * step]);
    }
  }
  return points;
}

/** Triangles whose centre lies inside, of the largest part that hangs together by edges. */
function insideTriangles(
  points: readonly Point[],
  { triangles, halfedges }: Triangles,
  lines: readonly (readonly Point[])[],
): [number, number, number][] {
  const area = new Float64Array(triangles.length / 3);
  const kept = new Uint8Array(area.length);
  for (let t = 0; t < area.length; t++) {
    const [a, b, c] = [0, 1, 2].map((k) => points[triangles[3 * t + k]!]!) as [Point, Point, Point];
    area[t] = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    const within = isInside(lines, (a[0] + b[0] + c[0]) / 3, (a[1] + b[1] + c[1]) / 3);
    kept[t] = Number(within && Math.abs(area[t]!) > FLATTEST * SPACING ** 2);
  }
  const beside = (t: number): number[] =>
    [0, 1, 2].flatMap((k) => (halfedges[3 * t + k]! >= 0 ? [Math.floor(halfedges[3 * t + k]! / 3)] : []));
  return largestPart(kept, beside).map((t) => {
    const [a, b, c] = [triangles[3 * t]!, triangles[3 * t + 1]!, triangles[3 * t + 2]!];
    return area[t]! > 0 ? [a, b, c] : [c, b, a];
  });
}

function largestPart(kept: Uint8Array, beside: (t: number) => number[]): number[] {
  const seen = new Uint8Array(kept.length);
  let best: number[] = [];
  for (let start = 0; start < kept.length; start++) {
    if (!kept[start] || seen[start]) continue;
    const part = [start];
    seen[start] = 1;
    for (const t of part) {
      for (const other of beside(t)) {
        if (!kept[other] || seen[other]) continue;
        seen[other] = 1;
        part.push(other); // grows while it is read
      }
    }
    if (part.length > best.length) best = part;
  }
  return best.sort((a, b) => a - b);
}

/** Whether a place lies within the outlines and in none of their holes: a ray to the left crosses an odd number. */
function isInside(lines: readonly (readonly Point[])[], x: number, y: number): boolean {
  let odd = false;
  for (const line of lines) {
    for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
      const [a, b] = [line[i]!, line[j]!];
      if (a[1] > y !== b[1] > y && x < ((b[0] - a[0]) * (y - a[1])) / (b[1] - a[1]) + a[0]) odd = !odd;
    }
  }
  return odd;
}

/**
 * Points that no triangle uses are dropped; every inner edge whose ends both lie on the rim gets a point in its middle.
 * Front and back share the rim: with such an edge they would touch along it, and a thin limb would have no thickness.
 */
function splitBridges(points: readonly Point[], triangles: [number, number, number][]): FlatMesh {
  const used = [...new Set(triangles.flat())].sort((a, b) => a - b);
  const number = new Map(used.map((old, i) => [old, i]));
  const corners = triangles.map((triangle) => triangle.map((old) => number.get(old)!) as [number, number, number]);
  const places = used.map((old) => points[old]!);
  const count = places.length;
  const key = (a: number, b: number): number => Math.min(a, b) * count + Math.max(a, b);
  const uses = new Map<number, number>();
  for (const [a, b, c] of corners)
    for (const edge of [key(a, b), key(b, c), key(c, a)]) uses.set(edge, (uses.get(edge) ?? 0) + 1);
  const rim = places.map(() => false);
  for (const [edge, times] of uses) if (times === 1) rim[Math.floor(edge / count)] = rim[edge % count] = true;
  const middles = new Map<number, number>();
  for (const [edge, times] of uses) {
    const [a, b] = [Math.floor(edge / count), edge % count];
    if (times !== 2 || !rim[a] || !rim[b]) continue;
    middles.set(edge, places.length);
    places.push([(places[a]![0] + places[b]![0]) / 2, (places[a]![1] + places[b]![1]) / 2]);
    rim.push(false);
  }
  const split = corners.flatMap((t) => parts(t, [key(t[0], t[1]), key(t[1], t[2]), key(t[2], t[0])].map((edge) => middles.get(edge) ?? -1))); // prettier-ignore
  return { points: places, triangles: split, rim };
}

/** A triangle cut at the middles of its edges (-1: not cut); edge i runs from corner i to the next. */
function parts(triangle: [number, number, number], middle: readonly number[]): [number, number, number][] {
  const cut = [0, 1, 2].filter((i) => middle[i]! >= 0);
  if (cut.length === 0) return [triangle];
  if (cut.length === 3) {
    const [a, b, c] = middle as [number, number, number];
    return [[triangle[0], a, c], [triangle[1], b, a], [triangle[2], c, b], [a, b, c]]; // prettier-ignore
  }
  const start = cut.length === 1 || (cut[0]! + 1) % 3 === cut[1] ? cut[0]! : cut[1]!;
  const [p, q, r] = [0, 1, 2].map((k) => triangle[(start + k) % 3]!) as [number, number, number];
  const m = middle[start]!;
  if (cut.length === 1) return [[p, m, r], [m, q, r]]; // prettier-ignore
  const n = middle[(start + 1) % 3]!; // the second cut edge runs from q to r
  return [[p, m, r], [m, n, r], [m, q, n]]; // prettier-ignore
}

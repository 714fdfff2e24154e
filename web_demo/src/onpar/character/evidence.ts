/** What a figure's outline and skeleton say about what it moves on, as reference/animation/figure/evidence.py measures it. */
import { roundEven } from './contours';
import { boundsOf, countBits, cropBits, toNearestEmpty, type Bits } from './grids';
import type { Medial } from './medial';
import type { Skeleton } from './skeleton';

export type Evidence = Record<string, number>;

export function shapeEvidence(grid: Bits, medial: Medial, skeleton: Skeleton): Evidence {
  const box = boundsOf(grid)!;
  const cut = cropBits(grid, box.x0, box.y0, box.x1 - box.x0 + 1, box.y1 - box.y0 + 1);
  return { ...ofArea(cut), ...ofLevels(cut), ...ofSkeleton(skeleton, medial) };
}

function ofArea(cut: Bits): Evidence {
  const { width, height } = cut;
  const area = countBits(cut);
  const padded = cropBits(cut, -1, -1, width + 2, height + 2);
  const { squared } = toNearestEmpty(padded);
  const thick = Math.sqrt(squared.reduce((a, b) => Math.max(a, b), 0));
  const core = { ...padded, data: Uint8Array.from(squared, (value) => Number(Math.sqrt(value) > 0.5 * thick)) };
  const [x, y] = middleOf(cut);
  return {
    wide: Math.log(width / height),
    filled: area / cut.data.length,
    solid: area / Math.max(hullArea(cut), 1),
    round: thick / Math.sqrt(area / Math.PI),
    core_upright: upright(core),
    upright: upright(cut),
    symmetric: symmetry(cut),
    heavy_low: (y / height - 0.5) * 4,
    lopsided: Math.abs(x / width - 0.5) * 4,
  };
}

function middleOf({ width, data }: Bits): [number, number] {
  let [x, y, count] = [0, 0, 0];
  data.forEach((set, i) => {
    if (set) [x, y, count] = [x + (i % width), y + Math.floor(i / width), count + 1];
  });
  return [x / count, y / count];
}

/** Area of the convex hull of the pixels' centres (Andrew's monotone chain, 1979). */
function hullArea({ width, height, data }: Bits): number {
  const points: [number, number][] = [];
  for (let x = 0; x < width; x++) {
    const rows: number[] = [];
    for (let y = 0; y < height; y++) if (data[y * width + x]) rows.push(y);
    if (rows.length > 0) points.push([x, rows[0]!], [x, rows.at(-1)!]);
  }
  const half = (ordered: [number, number][]): [number, number][] => {
    const hull: [number, number][] = [];
    for (const [x, y] of ordered) {
      while (hull.length > 1) {
        const [[a, b], [c, d]] = [hull.at(-2)!, hull.at(-1)!];
        if ((c - a) * (y - b) - (d - b) * (x - a) > 0) break;
        hull.pop();
      }
      hull.push([x, y]);
    }
    return hull.slice(0, -1);
  };
  const hull = [...half(points), ...half(points.toReversed())];
  const twice = hull.reduce((sum, [x, y], i) => {
    const [u, v] = hull[(i + 1) % hull.length]!;
    return sum + x * v - y * u;
  }, 0);
  return Math.abs(twice) / 2;
}

/** Elongation times cos of twice the angle between the long axis and the vertical. */
function upright(bits: Bits): number {
  if (countBits(bits) < 3) return 0;
  const [mx, my] = middleOf(bits);
  let [a, d] = [0, 0];
  bits.data.forEach((set, i) => {
    if (!set) return;
    a += (Math.floor(i / bits.width) - my) ** 2;
    d += ((i % bits.width) - mx) ** 2;
  });
  const count = countBits(bits) - 1;
  return (a - d) / count / Math.max((a + d) / count, 1e-9);
}

/** Which way the upper half leans against the lower: -1 to 1, above 0 where what is high lies on the right. */
export function lean(cut: Bits): number {
  const { x0, y0, x1, y1 } = boundsOf(cut)!;
  let [sum, count] = [0, 0];
  cut.data.forEach((set, i) => {
    if (!set) return;
    const [x, y] = [i % cut.width, Math.floor(i / cut.width)];
    sum += ((2 * x - x0 - x1) / Math.max(x1 - x0, 1)) * ((2 * y - y0 - y1) / Math.max(y1 - y0, 1));
    count += 1;
  });
  return -sum / count;
}

/** Best overlap (intersection over union) with the mirror image about an upright axis near the mass's middle. */
export function symmetry(cut: Bits): number {
  const { width, height, data } = cut;
  const centre = 2 * middleOf(cut)[0];
  const all = countBits(cut);
  let best = 0;
  for (const shift of [-0.04, 0, 0.04]) {
    const axis = roundEven(centre + shift * width);
    const [low, high] = [Math.max(0, axis - width + 1), Math.min(width - 1, axis)];
    let [both, either, inside] = [0, 0, 0];
    for (let y = 0; y < height; y++) {
      for (let x = low; x <= high; x++) {
        const [one, other] = [data[y * width + x]!, data[y * width + low + high - x]!];
        both += one & other;
        either += one | other;
        inside += one;
      }
    }
    best = Math.max(best, both / Math.max(either + 2 * (all - inside), 1));
  }
  return best;
}

function ofLevels({ width, height, data }: Bits): Evidence {
  const runs = (low: number, high: number): number => {
    const [first, last] = [Math.floor(low * height), Math.max(Math.floor(high * height), Math.floor(low * height) + 1)];
    let begins = 0;
    for (let y = first; y < last; y++)
      for (let x = 0; x < width; x++) if (data[y * width + x] && (x === 0 || !data[y * width + x - 1])) begins++;
    return begins / (Math.min(last, height) - first);
  };
  const columns: number[] = [];
  for (let x = 0; x < width; x++)
    for (let y = Math.floor(0.88 * height); y < height; y++) {
      if (!data[y * width + x]) continue;
      columns.push(x);
      break;
    }
  return {
    legs: runs(0.78, 0.95),
    tops: runs(0.05, 0.22),
    base: columns.length / width,
    stance: (columns.at(-1)! - columns[0]! + 1) / width,
  };
}

function ofSkeleton(skeleton: Skeleton, medial: Medial): Evidence {
  const ends = skeleton.leaves.map((leaf) => skeleton.positions[leaf]!);
  const half = Math.max(...skeleton.positions.map(([x]) => Math.abs(x)), 1e-9);
  const forks = skeleton.names.filter((_, joint) => skeleton.degree(joint) > 2).length;
  return {
    ends: Math.min(ends.length, 12) / 4,
    standing: Math.min(ends.filter(([, y]) => y < 0.2).length, 6) / 2,
    raised: Math.min(ends.filter(([, y]) => y > 0.8).length, 6) / 2,
    sideways: Math.min(ends.filter(([x, y]) => Math.abs(x) > 0.7 * half && y > 0.25).length, 6) / 2,
    reach: Math.min(Math.max(...skeleton.ways) / Math.max(...medial.radii, 1e-9), 20),
    forks: Math.min(forks, 8) / 2,
  };
}

/** How far an output is from the golden one: the metrics of sdk_build/proof/metrics.py that bundles set limits for. */
import { BundleInvalid } from '../bundle/errors';
import { findFaces } from '../faces/face_boxes';
import { classesOf } from '../tasks/image_segmenter';
import { peaks } from '../tasks/keypoint_detector';

const CAP_DB = 200;
const OUTER_EYES = [36, 45] as const;
const FACE_SCORE = 0.3;
/** Of the range of all coordinates, or of a map's sides. */
const CLOSE = 0.01;
/** Of the range: what eyes may see in a flat area. */
const VISIBLE = 4 / 255;

type Numbers = Float32Array | Float64Array;

export interface Metric {
  readonly largerIsBetter: boolean;
  /** Of two outputs of this shape; large ones are thinned and flat. */
  readonly compute: (actual: Numbers, expected: Numbers, shape: readonly number[]) => number;
}

export const METRICS: Readonly<Record<string, Metric>> = {
  max_abs_of_range: { largerIsBetter: false, compute: maxAbsOfRange },
  sqnr_db: {
    largerIsBetter: true,
    compute: (a, e) =>
      decibel(
        mean(e, (value) => value * value),
        a,
        e,
      ),
  },
  psnr_db: { largerIsBetter: true, compute: (a, e) => decibel(span(e) ** 2, a, e) },
  cosine: { largerIsBetter: true, compute: cosine },
  top1_agreement: { largerIsBetter: true, compute: (a, e) => (allFinite(a) && largestAt(a) === largestAt(e) ? 1 : 0) },
  nme_percent: { largerIsBetter: false, compute: nmePercent },
  voxel_iou: { largerIsBetter: true, compute: iou },
  mask_iou: { largerIsBetter: true, compute: iou },
  face_agreement: { largerIsBetter: true, compute: faceAgreement },
  exact_share: { largerIsBetter: true, compute: (a, e) => mean(a, (value, i) => Number(value === e[i])) },
  finite_share: { largerIsBetter: true, compute: finiteShare },
  pixel_agreement: { largerIsBetter: true, compute: pixelAgreement },
  coordinate_agreement: { largerIsBetter: true, compute: (a, e) => shareWithin(a, e, CLOSE, true) },
  point_agreement: { largerIsBetter: true, compute: pointAgreement },
  depth_correlation: { largerIsBetter: true, compute: depthCorrelation },
  angle_degrees: { largerIsBetter: false, compute: angleDegrees },
  picture_agreement: { largerIsBetter: true, compute: (a, e) => shareWithin(a, e, VISIBLE, false) },
};

export function metric(name: string): Metric {
  const found = METRICS[name];
  if (found === undefined)
    throw new BundleInvalid(`bundle.json has the metric '${name}'; allowed: ${Object.keys(METRICS)}; update onpar`);
  return found;
}

function maxAbsOfRange(a: Numbers, e: Numbers): number {
  const scale = span(e) || Math.abs(e[0] ?? 0) || 1;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - e[i]!);
    if (!Number.isFinite(difference)) return Infinity;
    if (difference > largest) largest = difference;
  }
  return largest / scale;
}

function cosine(a: Numbers, e: Numbers): number {
  if (!allFinite(a)) return -1;
  const norm = Math.sqrt(mean(a, (v) => v * v) * mean(e, (v) => v * v));
  return norm ? mean(a, (value, i) => value * e[i]!) / norm : 0;
}

function nmePercent(a: Numbers, e: Numbers, shape: readonly number[]): number {
  const columns = shape.at(-1)!;
  const distance = (p: Numbers, i: number, q: Numbers, j: number): number => {
    let squares = 0;
    for (let k = 0; k < columns; k++) squares += (p[columns * i + k]! - q[columns * j + k]!) ** 2;
    return Math.sqrt(squares);
  };
  const points = e.length / columns;
  let total = 0;
  for (let i = 0; i < points; i++) total += distance(a, i, e, i);
  const value = (100 * total) / points / Math.max(distance(e, OUTER_EYES[0], e, OUTER_EYES[1]), 1e-12);
  return Number.isFinite(value) ? value : Infinity;
}

function iou(a: Numbers, e: Numbers): number {
  let both = 0;
  let either = 0;
  for (let i = 0; i < a.length; i++) {
    const [inA, inE] = [a[i]! >= 0.5, e[i]! >= 0.5];
    if (inA && inE) both++;
    if (inA || inE) either++;
  }
  return either ? both / either : 1;
}

/** Mean overlap of the faces that either of two detectors' outputs holds; a face that only one holds counts 0. */
function faceAgreement(a: Numbers, e: Numbers): number {
  const whole = { left: 0, top: 0, width: 1, height: 1 };
  const [found, wanted] = [a, e].map((rows) =>
    findFaces(Float32Array.from(rows), whole, FACE_SCORE).map((face) => face.boxPx),
  );
  if (!found?.length || !wanted?.length) return found?.length === wanted?.length ? 1 : 0;
  const pairs = found.flatMap((box, i) => wanted.map((other, j) => ({ i, j, overlap: overlapOf(box, other) })));
  pairs.sort((one, other) => other.overlap - one.overlap);
  const [takenA, takenE] = [new Set<number>(), new Set<number>()];
  let total = 0;
  for (const { i, j, overlap } of pairs) {
    if (overlap <= 0 || takenA.has(i) || takenE.has(j)) continue;
    takenA.add(i);
    takenE.add(j);
    total += overlap;
  }
  return total / (found.length + wanted.length - takenA.size);
}

function finiteShare(a: Numbers, e: Numbers): number {
  const wanted = a.filter((_, i) => Number.isFinite(e[i]));
  return wanted.length ? mean(wanted, (value) => Number(Number.isFinite(value))) : 1;
}

/** Share of the cells whose class is the same, of scores (1, classes, h, w) or class numbers. */
function pixelAgreement(a: Numbers, e: Numbers, shape: readonly number[]): number {
  if (!allFinite(a)) return 0;
  const [actual, expected] = [a, e].map((values) =>
    shape.length === 4 ? classesOf(Float32Array.from(values), shape, true) : values,
  ) as [Numbers, Numbers];
  return mean(actual, (value, i) => Number(value === expected[i]));
}

/** Share of the coordinates, or of the maps' peaks, that are off by less than 1 % of the range or of the side. */
function pointAgreement(a: Numbers, e: Numbers, shape: readonly number[]): number {
  if (!allFinite(a)) return 0;
  const [, count, rows, columns] = shape;
  if (rows === undefined || columns === undefined) return shareWithin(a, e, CLOSE, true);
  const [actual, expected] = [a, e].map((maps) => peaks(Float32Array.from(maps), count!, rows, columns).places);
  return mean(actual!, (value, i) => Number(Math.abs(value - expected![i]!) < CLOSE));
}

/** Pearson's correlation; 0 where one of the maps is constant. */
function depthCorrelation(a: Numbers, e: Numbers): number {
  const [middleA, middleE] = [a, e].map((values) => mean(values, (value) => value)) as [number, number];
  const norm = Math.sqrt(mean(a, (v) => (v - middleA) ** 2) * mean(e, (v) => (v - middleE) ** 2));
  return Number.isFinite(norm) && norm ? mean(a, (v, i) => (v - middleA) * (e[i]! - middleE)) / norm : 0;
}

/** By the chord: an arc cosine loses small angles to rounding. */
function angleDegrees(a: Numbers, e: Numbers): number {
  const [lengthA, lengthE] = [a, e].map((values) => Math.sqrt(a.length * mean(values, (v) => v * v))) as [
    number,
    number,
  ];
  if (!Number.isFinite(lengthA * lengthE) || lengthA * lengthE === 0) return 90;
  const chord = Math.sqrt(a.length * mean(a, (v, i) => (v / lengthA - e[i]! / lengthE) ** 2));
  return (360 / Math.PI) * Math.asin(Math.min(1, chord / 2));
}

/** Share of the values that are off by less than a share of the range, or by so much where `below` is false. */
function shareWithin(a: Numbers, e: Numbers, share: number, below: boolean): number {
  const bound = share * (span(e) || 1);
  return mean(a, (value, i) => {
    const off = Math.abs(value - e[i]!);
    return Number(below ? off < bound : off <= bound);
  });
}

function overlapOf(a: readonly number[], b: readonly number[]): number {
  const both =
    Math.max(0, Math.min(a[2]!, b[2]!) - Math.max(a[0]!, b[0]!)) *
    Math.max(0, Math.min(a[3]!, b[3]!) - Math.max(a[1]!, b[1]!));
  const area = (box: readonly number[]): number => (box[2]! - box[0]!) * (box[3]! - box[1]!);
  return both / (area(a) + area(b) - both);
}

function decibel(signal: number, a: Numbers, e: Numbers): number {
  const noise = mean(a, (value, i) => (value - e[i]!) ** 2);
  if (!Number.isFinite(noise)) return -CAP_DB;
  if (noise === 0) return CAP_DB;
  return Math.min(CAP_DB, Math.max(-CAP_DB, 10 * Math.log10(Math.max(signal, 1e-300) / noise)));
}

function mean(values: Numbers, of: (value: number, i: number) => number): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += of(values[i]!, i);
  return total / values.length;
}

function span(values: Numbers): number {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return high - low;
}

function allFinite(values: Numbers): boolean {
  return values.every(Number.isFinite);
}

function largestAt(values: Numbers): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[at]!) at = i;
  return at;
}

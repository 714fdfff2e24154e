/** How far an output is from the golden one: the metrics of sdk_build/proof/metrics.py that bundles set limits for. */
import { BundleInvalid } from '../bundle/errors';
import { findFaces } from '../faces/face_boxes';

const CAP_DB = 200;
const OUTER_EYES = [36, 45] as const;
const FACE_SCORE = 0.3;

export interface Metric {
  readonly largerIsBetter: boolean;
  /** `columns` is the last size of the output's shape: how many numbers a point has; 2 without it. */
  readonly compute: (actual: Float32Array, expected: Float32Array, columns?: number) => number;
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
};

export function metric(name: string): Metric {
  const found = METRICS[name];
  if (found === undefined)
    throw new BundleInvalid(`bundle.json has the metric '${name}'; allowed: ${Object.keys(METRICS)}; update onpar`);
  return found;
}

function maxAbsOfRange(a: Float32Array, e: Float32Array): number {
  const scale = span(e) || e.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - e[i]!);
    if (!Number.isFinite(difference)) return Infinity;
    if (difference > largest) largest = difference;
  }
  return largest / scale;
}

function cosine(a: Float32Array, e: Float32Array): number {
  if (!allFinite(a)) return -1;
  const norm = Math.sqrt(mean(a, (v) => v * v) * mean(e, (v) => v * v));
  return norm ? mean(a, (value, i) => value * e[i]!) / norm : 0;
}

function nmePercent(a: Float32Array, e: Float32Array, columns = 2): number {
  const distance = (p: Float32Array, i: number, q: Float32Array, j: number): number => {
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

function iou(a: Float32Array, e: Float32Array): number {
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
function faceAgreement(a: Float32Array, e: Float32Array): number {
  const whole = { left: 0, top: 0, width: 1, height: 1 };
  const [found, wanted] = [a, e].map((rows) => findFaces(rows, whole, FACE_SCORE).map((face) => face.boxPx));
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

function overlapOf(a: readonly number[], b: readonly number[]): number {
  const both =
    Math.max(0, Math.min(a[2]!, b[2]!) - Math.max(a[0]!, b[0]!)) *
    Math.max(0, Math.min(a[3]!, b[3]!) - Math.max(a[1]!, b[1]!));
  const area = (box: readonly number[]): number => (box[2]! - box[0]!) * (box[3]! - box[1]!);
  return both / (area(a) + area(b) - both);
}

function decibel(signal: number, a: Float32Array, e: Float32Array): number {
  const noise = mean(a, (value, i) => (value - e[i]!) ** 2);
  if (!Number.isFinite(noise)) return -CAP_DB;
  if (noise === 0) return CAP_DB;
  return Math.min(CAP_DB, Math.max(-CAP_DB, 10 * Math.log10(Math.max(signal, 1e-300) / noise)));
}

function mean(values: Float32Array, of: (value: number, i: number) => number): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += of(values[i]!, i);
  return total / values.length;
}

function span(values: Float32Array): number {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return high - low;
}

function allFinite(values: Float32Array): boolean {
  return values.every(Number.isFinite);
}

function largestAt(values: Float32Array): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[at]!) at = i;
  return at;
}

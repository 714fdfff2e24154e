/** How far an output is from the golden one: the metrics of sdk_build/metrics.py that bundles set limits for. */
import { BundleInvalid } from './errors';

const CAP_DB = 200;
const OUTER_EYES = [36, 45] as const;

export interface Metric {
  readonly largerIsBetter: boolean;
  readonly compute: (actual: Float32Array, expected: Float32Array) => number;
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

function nmePercent(a: Float32Array, e: Float32Array): number {
  const distance = (p: Float32Array, i: number, q: Float32Array, j: number): number =>
    Math.hypot(p[2 * i]! - q[2 * j]!, p[2 * i + 1]! - q[2 * j + 1]!);
  let total = 0;
  for (let i = 0; i < e.length / 2; i++) total += distance(a, i, e, i);
  const eyes = Math.max(distance(e, OUTER_EYES[0], e, OUTER_EYES[1]), 1e-12);
  const value = (100 * total) / (e.length / 2) / eyes;
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

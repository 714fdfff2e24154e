/** The task of finding objects of several classes: reference/tasks/object_detection.py. */
import { BundleInvalid } from '../bundle/errors';
import { thresholdOf, type Manifest } from '../bundle/manifest';
import type { Region } from '../image/region';
import { entryOf, output, type Context, type Tensors } from '../runner/outputs';
import { open, type From, type TaskOptions } from './open';
import { PictureTask } from './task';

/** An object in a picture. */
export interface DetectedObject {
  /** x0, y0, x1, y1 in picture pixels, the picture's outer corner at (0, 0); may reach beyond the picture. */
  readonly boxPx: readonly [number, number, number, number];
  readonly label: string;
  readonly score: number;
}

/** Objects in a picture, the most certain one first. */
export interface DetectedObjects {
  readonly objects: readonly DetectedObject[];
}

/** Of two boxes of one class that overlap by this much, the one with the lower score goes. */
const SAME_OBJECT = 0.5;
const MOST = 100;

/** x0, y0, x1, y1 in shares of the network's input. */
type Corners = readonly [number, number, number, number];

interface Candidate {
  readonly box: Corners;
  readonly score: number;
  readonly number: number;
}

export function toDetectedObjects(outputs: Tensors, { manifest, region }: Context): DetectedObjects {
  const boxes = output(outputs, entryOf(manifest, 0).name);
  // Scores are float32, and so is the threshold that they are compared with.
  const threshold = Math.fround(thresholdOf(manifest));
  const candidates: Candidate[] = [];
  best(outputs, manifest, boxes.length / 4).forEach(({ score, number }, i) => {
    if (score >= threshold)
      candidates.push({ box: corners(boxes.subarray(4 * i, 4 * i + 4), manifest), score, number });
  });
  candidates.sort((a, b) => b.score - a.score); // stable: equal scores keep their order
  const kept: Candidate[] = [];
  for (const candidate of candidates) {
    const rivals = kept.filter(({ number }) => number === candidate.number);
    if (rivals.every(({ box }) => overlap(candidate.box, box) < SAME_OBJECT)) kept.push(candidate);
    if (kept.length === MOST) break;
  }
  return { objects: kept.map((candidate) => place(candidate, region, manifest)) };
}

/** The best class of every box: of scores (1, N, classes), or as an output with class numbers has it. */
function best(outputs: Tensors, manifest: Manifest, count: number): { score: number; number: number }[] {
  const { name, shape, unit } = entryOf(manifest, 1);
  const values = output(outputs, name);
  const scores = unit === 'logit' ? values.map((value) => 1 / (1 + Math.exp(-value))) : values;
  if (shape.length < 3) {
    const numbers = output(outputs, entryOf(manifest, 2).name);
    return Array.from({ length: count }, (_, i) => ({ score: scores[i]!, number: numbers[i]! }));
  }
  const classes = shape.at(-1)!;
  return Array.from({ length: count }, (_, i) => {
    const row = scores.subarray(i * classes, (i + 1) * classes);
    const score = row.reduce((a, b) => Math.max(a, b), -Infinity);
    return { score, number: row.indexOf(score) };
  });
}

function corners(values: Float32Array, manifest: Manifest): Corners {
  const { unit } = entryOf(manifest, 0);
  const [height, width] = unit.endsWith('pixels') ? manifest.preprocess.size : [1, 1];
  const [a, b, c, d] = values.map((value, i) => value / (i % 2 ? height : width)) as unknown as Corners;
  if (!unit.startsWith('cxcywh')) return [a, b, c, d];
  const box = Float32Array.of(a - c / 2, b - d / 2, a + c / 2, b + d / 2);
  return box as unknown as Corners;
}

/** Intersection over union. */
export function overlap(a: readonly number[], b: readonly number[]): number {
  const area = (box: readonly number[]): number => (box[2]! - box[0]!) * (box[3]! - box[1]!);
  const both =
    Math.max(0, Math.min(a[2]!, b[2]!) - Math.max(a[0]!, b[0]!)) *
    Math.max(0, Math.min(a[3]!, b[3]!) - Math.max(a[1]!, b[1]!));
  return both / Math.max(area(a) + area(b) - both, 1e-12);
}

function place({ box, score, number }: Candidate, region: Region, { id, labels }: Manifest): DetectedObject {
  const label = labels[number];
  if (label === undefined) {
    throw new BundleInvalid(
      `${id} gave the class ${number} and has ${labels.length} labels; export it with a label each`,
    );
  }
  const [x0, y0, x1, y1] = box;
  const { left, top, width, height } = region;
  return { boxPx: [x0 * width + left, y0 * height + top, x1 * width + left, y1 * height + top], label, score };
}

/** Box, class and score of every object that the network knows. */
export class ObjectDetector extends PictureTask<DetectedObjects> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<ObjectDetector> {
    return new ObjectDetector(...(await open(from, 'Detections', options)), toDetectedObjects);
  }
}

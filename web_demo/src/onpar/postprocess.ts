/** From output tensors to typed results, the same types in every language. */
import { BundleInvalid } from './errors';
import type { Manifest } from './manifest';
import type { Region } from './preprocess';

export type Tensors = Readonly<Record<string, Float32Array>>;

/** What a decoder may look at besides the tensors. */
export interface Context {
  readonly manifest: Manifest;
  readonly region: Region;
  readonly pictureWidth: number;
  readonly pictureHeight: number;
}

/** What a picture shows. */
export interface Classification {
  readonly label: string;
  readonly score: number;
  /** Every class with its probability, most probable first. */
  readonly scores: readonly { readonly label: string; readonly score: number }[];
}

/** A face in a picture. */
export interface FaceBox {
  /** x0, y0, x1, y1 in picture pixels, the picture's outer corner at (0, 0); may reach beyond the picture. */
  readonly boxPx: readonly [number, number, number, number];
  readonly score: number;
  /**
   * Centres of the eyes, tip of the nose, corners of the mouth, the image's left first: x, y, x, y, ... in picture
   * pixels, the centre of the first pixel at (0, 0).
   */
  readonly pointsPx: Float32Array;
}

/** Faces in a picture, the most certain one first. */
export interface FaceBoxes {
  readonly faces: readonly FaceBox[];
}

/** Points on a face: x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0). */
export interface Keypoints {
  readonly pointsPx: Float32Array;
  /** Likewise, from the template alone; the same points where the network has no template. */
  readonly templatePointsPx: Float32Array;
  readonly region: Region;
}

/** The salient part of a picture: one value in [0, 1] for each of its pixels. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
  readonly threshold: number;
  /** Share of the picture at or above the threshold. */
  readonly share: number;
}

/** A solid on a cubic grid: slices from the viewer away, rows down, columns right. */
export interface VoxelGrid {
  readonly size: number;
  readonly occupancy: Float32Array;
  /** At or above it a voxel is filled. */
  readonly threshold: number;
  readonly filledVoxels: number;
}

export function toClassification(outputs: Tensors, { manifest }: Context): Classification {
  const probabilities = softmax(output(outputs, 'logits'));
  const scores = manifest.labels.map((label, i) => ({ label, score: probabilities[i] ?? Number.NaN }));
  if (scores.length === 0 || scores.length !== probabilities.length) {
    throw new BundleInvalid(
      `${manifest.id} has ${scores.length} labels for ${probabilities.length} classes; export again`,
    );
  }
  scores.sort((a, b) => b.score - a.score); // stable: equal scores keep the order of the labels
  return { label: scores[0]!.label, score: scores[0]!.score, scores };
}

export function toFaceBoxes(outputs: Tensors, { manifest, region }: Context): FaceBoxes {
  return { faces: findFaces(output(outputs, 'faces'), region, thresholdOf(manifest)) };
}

/** Of two boxes of one face, the one with the lower score goes. */
const LARGEST_OVERLAP = 0.4;
/** x0, y0, x1, y1, score, five x, five y; places in shares of the region. */
const COLUMNS = 15;

/** The faces of a detector's output: certain enough, their middle in the network's input, the best of overlapping ones. */
export function findFaces(rows: Float32Array, region: Region, threshold: number): FaceBox[] {
  const candidates: Float32Array[] = [];
  for (let start = 0; start < rows.length; start += COLUMNS) {
    const row = rows.subarray(start, start + COLUMNS);
    const [x, y] = [(row[0]! + row[2]!) / 2, (row[1]! + row[3]!) / 2];
    if (row[4]! >= threshold && row.every(Number.isFinite) && x >= 0 && x <= 1 && y >= 0 && y <= 1)
      candidates.push(row);
  }
  candidates.sort((a, b) => b[4]! - a[4]!); // stable: equal scores keep their order
  const kept: Float32Array[] = [];
  for (const row of candidates) if (kept.every((other) => !overlapsMuch(other, row))) kept.push(row);
  return kept.map((row) => toFaceBox(row, region));
}

function overlapsMuch(a: Float32Array, b: Float32Array): boolean {
  const both =
    Math.max(0, Math.min(a[2]!, b[2]!) - Math.max(a[0]!, b[0]!)) *
    Math.max(0, Math.min(a[3]!, b[3]!) - Math.max(a[1]!, b[1]!));
  const area = (row: Float32Array): number => Math.max(0, row[2]! - row[0]!) * Math.max(0, row[3]! - row[1]!);
  return both > LARGEST_OVERLAP * (area(a) + area(b) - both);
}

function toFaceBox(row: Float32Array, { left, top, width, height }: Region): FaceBox {
  const pointsPx = new Float32Array(10);
  for (let i = 0; i < 5; i++) {
    pointsPx[2 * i] = row[5 + i]! * width + left - 0.5;
    pointsPx[2 * i + 1] = row[10 + i]! * height + top - 0.5;
  }
  const boxPx = [
    row[0]! * width + left,
    row[1]! * height + top,
    row[2]! * width + left,
    row[3]! * height + top,
  ] as const;
  return { boxPx: [...boxPx], score: row[4]!, pointsPx };
}

export function toKeypoints(outputs: Tensors, { manifest, region }: Context): Keypoints {
  const [points, template] = (manifest.modelFiles[0]?.outputs ?? []).map((entry) =>
    toPicture(output(outputs, entry.name), region),
  );
  if (!points) throw new BundleInvalid(`${manifest.id} needs an output with points; export again`);
  return { pointsPx: points, templatePointsPx: template ?? points, region };
}

export function toVoxelGrid(outputs: Tensors, { manifest }: Context): VoxelGrid {
  const occupancy = output(outputs, 'occupancy');
  const threshold = thresholdOf(manifest);
  return {
    size: Math.round(Math.cbrt(occupancy.length)),
    occupancy,
    threshold,
    filledVoxels: countAtLeast(occupancy, threshold),
  };
}

export function toMask(outputs: Tensors, context: Context): Mask {
  const { manifest, region, pictureWidth: width, pictureHeight: height } = context;
  const [rows, columns] = manifest.preprocess.size;
  const threshold = thresholdOf(manifest);
  const values = resizeMask(
    output(outputs, manifest.modelFiles[0]?.outputs[0]?.name ?? 'mask'),
    columns,
    rows,
    region,
    width,
    height,
  );
  return { width, height, values, threshold, share: countAtLeast(values, threshold) / values.length };
}

/** Fractions of the region to pixels. */
export function toPicture(fractions: Float32Array, region: Region): Float32Array {
  return fractions.map(
    (value, i) => (i % 2 === 0 ? value * region.width + region.left : value * region.height + region.top) - 0.5,
  );
}

/** Bilinear, edge values repeated inside the region; 0 where the network did not look. */
function resizeMask(
  mask: Float32Array,
  columns: number,
  rows: number,
  region: Region,
  width: number,
  height: number,
): Float32Array {
  const xs = maskPositions(region.left, region.width, columns, width);
  const ys = maskPositions(region.top, region.height, rows, height);
  const values = new Float32Array(width * height);
  ys.forEach((y, row) => {
    if (y === null) return;
    xs.forEach((x, column) => {
      if (x === null) return;
      const at = (r: number, c: number): number => mask[r * columns + c]!;
      const upper = at(y.low, x.low) * (1 - x.part) + at(y.low, x.high) * x.part;
      const lower = at(y.high, x.low) * (1 - x.part) + at(y.high, x.high) * x.part;
      values[row * width + column] = upper * (1 - y.part) + lower * y.part;
    });
  });
  return values;
}

function maskPositions(
  start: number,
  length: number,
  size: number,
  pixels: number,
): ({ low: number; high: number; part: number } | null)[] {
  return Array.from({ length: pixels }, (_, pixel) => {
    const fraction = (pixel + 0.5 - start) / length;
    if (fraction < 0 || fraction > 1) return null;
    const position = Math.min(Math.max(fraction * size - 0.5, 0), size - 1);
    const low = Math.floor(position);
    return { low, high: Math.min(low + 1, size - 1), part: position - low };
  });
}

export function softmax(logits: Float32Array): Float32Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = logits.map((value) => Math.exp(value - largest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / total);
}

export function output(outputs: Tensors, name: string): Float32Array {
  const values = outputs[name];
  if (values === undefined) throw new BundleInvalid(`the artifact gave no output '${name}'; export the bundle again`);
  return values;
}

export function thresholdOf(manifest: Manifest): number {
  const { threshold } = manifest.postprocess;
  if (threshold === null) throw new BundleInvalid(`${manifest.id} has no threshold; export the bundle again`);
  return threshold;
}

function countAtLeast(values: Float32Array, threshold: number): number {
  let count = 0;
  for (let i = 0; i < values.length; i++) if (values[i]! >= threshold) count++;
  return count;
}

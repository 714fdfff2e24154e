/** From the output of a face detector to boxes: reference/tasks/face_detection.py. */
import { thresholdOf } from '../bundle/manifest';
import type { Region } from '../image/region';
import { output, type Context, type Tensors } from '../runner/outputs';

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

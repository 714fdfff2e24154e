/** The task of telling an object from what is around it. */
import { thresholdOf } from '../bundle/manifest';
import type { Region } from '../image/region';
import { countAtLeast, output, type Context, type Tensors } from '../runner/outputs';
import { open, type From, type TaskOptions } from './open';
import { PictureTask } from './task';

/** The salient part of a picture: one value in [0, 1] for each of its pixels. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
  readonly threshold: number;
  /** Share of the picture at or above the threshold. */
  readonly share: number;
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

/** Which pixels belong to the salient object. */
export class SaliencySegmenter extends PictureTask<Mask> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<SaliencySegmenter> {
    return new SaliencySegmenter(...(await open(from, 'Mask', options)), toMask);
  }
}

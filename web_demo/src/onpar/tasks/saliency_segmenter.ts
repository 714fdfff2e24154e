/** The task of telling an object from what is around it. */
import { thresholdOf } from '../bundle/manifest';
import { layOver } from '../image/grid';
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
  const mask = { values: output(outputs, manifest.modelFiles[0]?.outputs[0]?.name ?? 'mask'), rows, columns };
  const values = layOver(mask, region, width, height, 0); // 0 where the network did not look
  return { width, height, values, threshold, share: countAtLeast(values, threshold) / values.length };
}

/** Which pixels belong to the salient object. */
export class SaliencySegmenter extends PictureTask<Mask> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<SaliencySegmenter> {
    return new SaliencySegmenter(...(await open(from, 'Mask', options)), toMask);
  }
}

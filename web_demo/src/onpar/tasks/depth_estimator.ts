/** The task of telling how far every pixel is: reference/tasks/depth_estimation.py. */
import { layOver } from '../image/grid';
import type { Region } from '../image/region';
import { entryOf, output, type Context, type Tensors } from '../runner/outputs';
import { open, type From, type TaskOptions } from './open';
import { PictureTask } from './task';

/** How far things are, on the network's own grid, which covers {@link region} of the picture. */
export class EstimatedDepth {
  constructor(
    /** Row by row. */
    readonly values: Float32Array,
    readonly rows: number,
    readonly columns: number,
    readonly region: Region,
    /** `relative_inverse_depth` (nearer is larger), `relative_depth` (nearer is smaller) or `metres`. */
    readonly unit: string,
  ) {}

  /** Values of a picture's pixels; NaN outside the region. */
  inPicture(width: number, height: number): Float32Array {
    return layOver(this, this.region, width, height, Number.NaN);
  }

  /** From 0, the farthest, to 1, the nearest. */
  nearness(): Float32Array {
    const low = this.values.reduce((a, b) => Math.min(a, b), Infinity);
    const high = this.values.reduce((a, b) => Math.max(a, b), -Infinity);
    const nearIsLarge = this.unit === 'relative_inverse_depth';
    return this.values.map((value) => {
      const share = (value - low) / (high - low || 1);
      return nearIsLarge ? share : 1 - share;
    });
  }
}

export function toEstimatedDepth(outputs: Tensors, { manifest, region }: Context): EstimatedDepth {
  const { name, shape, unit } = entryOf(manifest, 0);
  return new EstimatedDepth(output(outputs, name), shape.at(-2)!, shape.at(-1)!, region, unit);
}

/** How far every pixel of one picture is. */
export class DepthEstimator extends PictureTask<EstimatedDepth> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<DepthEstimator> {
    return new DepthEstimator(...(await open(from, 'Depth', options)), toEstimatedDepth);
  }
}

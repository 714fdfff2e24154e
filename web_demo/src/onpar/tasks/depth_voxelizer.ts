/** The task of making a solid from one depth map. */
import { thresholdOf } from '../bundle/manifest';
import { countAtLeast, output, type Context, type Tensors } from '../runner/outputs';
import { open, type From, type TaskOptions } from './open';
import { DepthTask } from './task';

/** A solid on a cubic grid: slices from the viewer away, rows down, columns right. */
export interface VoxelGrid {
  readonly size: number;
  readonly occupancy: Float32Array;
  /** At or above it a voxel is filled. */
  readonly threshold: number;
  readonly filledVoxels: number;
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

/** A solid from one depth map. */
export class DepthVoxelizer extends DepthTask<VoxelGrid> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<DepthVoxelizer> {
    return new DepthVoxelizer(...(await open(from, 'VoxelGrid', options)), toVoxelGrid);
  }
}

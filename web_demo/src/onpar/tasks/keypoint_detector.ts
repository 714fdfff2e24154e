/** The task of finding points of anything: reference/tasks/keypoints.py. */
import { toPicture } from '../image/region';
import { entryOf, output, type Context, type Tensors } from '../runner/outputs';
import { open, type From, type TaskOptions } from './open';
import { PictureTask } from './task';

/** Points of a picture, as many as the network has. */
export interface Points {
  /** x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0). */
  readonly pointsPx: Float32Array;
  /** As the network gives them; empty where it gives none. */
  readonly scores: Float32Array;
  /** Names of the points; empty where they have none. */
  readonly labels: readonly string[];
}

/** Places x, y, ... in shares of a map's sides, and heights, of the largest value of each of `count` maps. */
export function peaks(
  maps: Float32Array,
  count: number,
  rows: number,
  columns: number,
): { places: Float32Array; heights: Float32Array } {
  const places = new Float32Array(2 * count);
  const heights = new Float32Array(count);
  for (let map = 0; map < count; map++) {
    const values = maps.subarray(map * rows * columns, (map + 1) * rows * columns);
    let best = 0;
    for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
    const x = best % columns;
    const y = (best - x) / columns;
    // A quarter of a cell towards the larger neighbour (Newell et al., 2016).
    const step = (inside: boolean, by: number): number =>
      inside ? 0.25 * Math.sign(values[best + by]! - values[best - by]!) : 0;
    places[2 * map] = (x + 0.5 + step(x > 0 && x < columns - 1, 1)) / columns;
    places[2 * map + 1] = (y + 0.5 + step(y > 0 && y < rows - 1, columns)) / rows;
    heights[map] = values[best]!;
  }
  return { places, heights };
}

export function toPoints(outputs: Tensors, { manifest, region }: Context): Points {
  const { name, shape, unit } = entryOf(manifest, 0);
  const values = output(outputs, name);
  const count = shape[1]!;
  const { labels } = manifest;
  if (unit === 'map') {
    const { places, heights } = peaks(values, count, shape[2]!, shape[3]!);
    return { pointsPx: toPicture(places, region), scores: heights, labels };
  }
  const numbers = shape[2]!;
  const [height, width] = unit === 'pixels' ? manifest.preprocess.size : [1, 1];
  const places = new Float32Array(2 * count);
  for (let i = 0; i < count; i++) {
    places[2 * i] = values[numbers * i]! / width;
    places[2 * i + 1] = values[numbers * i + 1]! / height;
  }
  const scores = values.filter((_, i) => numbers > 2 && i % numbers === 2);
  return { pointsPx: toPicture(places, region), scores, labels };
}

/** Points of whatever the network was trained for. */
export class KeypointDetector extends PictureTask<Points> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<KeypointDetector> {
    return new KeypointDetector(...(await open(from, 'Points', options)), toPoints);
  }
}

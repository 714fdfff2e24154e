/** The task of finding the points of a face. */
import { BundleInvalid } from '../bundle/errors';
import { FaceKeypointPipeline } from '../faces/face_keypoint_pipeline';
import type { TrackerOptions } from '../faces/face_tracker';
import { toPicture, type Region } from '../image/region';
import { output, type Context, type Tensors } from '../runner/outputs';
import { loader, open, openBundle, openJudge, type From, type JudgeOptions, type TaskOptions } from './open';
import { PictureTask } from './task';

/** Points on a face: x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0). */
export interface Keypoints {
  readonly pointsPx: Float32Array;
  /** Likewise, from the template alone; the same points where the network has no template. */
  readonly templatePointsPx: Float32Array;
  readonly region: Region;
}

export function toKeypoints(outputs: Tensors, { manifest, region }: Context): Keypoints {
  const [points, template] = (manifest.modelFiles[0]?.outputs ?? []).map((entry) =>
    toPicture(output(outputs, entry.name), region),
  );
  if (!points) throw new BundleInvalid(`${manifest.id} needs an output with points; export again`);
  return { pointsPx: points, templatePointsPx: template ?? points, region };
}

/** 68 points of the face in a box; without a box, of the face that fills the picture. */
export class FaceKeypointDetector extends PictureTask<Keypoints> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<FaceKeypointDetector> {
    return new FaceKeypointDetector(...(await open(from, 'Keypoints', options)), toKeypoints);
  }

  /**
   * All faces without a box: a face detector, a keypoint network and, where there is one, the network that refines its
   * points.
   */
  static async fromBundles(
    detector: From,
    keypoints: From,
    refined: From | null = null,
    options: TaskOptions & TrackerOptions & JudgeOptions = {},
  ): Promise<FaceKeypointPipeline> {
    const bundles = await Promise.all([
      openBundle(detector, options),
      openBundle(keypoints, options),
      refined === null ? null : openBundle(refined, options),
      openJudge(options),
    ]);
    return FaceKeypointPipeline.open(bundles, loader(refined === null ? 2 : 3, options), options);
  }
}

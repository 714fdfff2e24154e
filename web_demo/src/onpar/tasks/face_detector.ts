/** The task of finding faces. */
import { FaceBoxPipeline } from '../faces/face_box_pipeline';
import { toFaceBoxes, type FaceBoxes } from '../faces/face_boxes';
import { loader, open, openBundle, type From, type TaskOptions } from './open';
import { PictureTask } from './task';

/** Box, score and five points of every face. */
export class FaceDetector extends PictureTask<FaceBoxes> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<FaceDetector> {
    return new FaceDetector(...(await open(from, 'FaceBoxes', options)), toFaceBoxes);
  }

  /** With the second network of the detector's cascade, which judges its boxes: more small faces, fewer that are none. */
  static async fromBundles(detector: From, refined: From, options: TaskOptions = {}): Promise<FaceBoxPipeline> {
    const bundles = await Promise.all([openBundle(detector, options), openBundle(refined, options)]);
    return FaceBoxPipeline.open(bundles, loader(2, options));
  }
}

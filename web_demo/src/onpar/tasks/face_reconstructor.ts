/** The task of giving a face its third dimension. */
import { demand } from '../bundle/bundle';
import { FaceTopology, toFaceMesh, type FaceMesh } from '../faces/face_mesh';
import { FaceMeshPipeline, type MeshOptions } from '../faces/face_mesh_pipeline';
import { LiteRtRunner } from '../runner/litert_runner';
import { loader, openBundle, openJudge, type From, type JudgeOptions, type TaskOptions } from './open';
import { PictureTask } from './task';

/** A mesh of the face in a box; without a box, of the face that fills the picture. */
export class FaceReconstructor extends PictureTask<FaceMesh> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<FaceReconstructor> {
    const bundle = await openBundle(from, options);
    demand(bundle, 'FaceMesh');
    const topology = FaceTopology.of(bundle);
    const runner = await LiteRtRunner.load(bundle, options);
    return new FaceReconstructor(bundle, runner, (outputs, context) => toFaceMesh(outputs, context, topology));
  }

  /** All faces without a box: a face detector finds them. */
  static async fromBundles(
    detector: From,
    face3d: From,
    options: TaskOptions & MeshOptions & JudgeOptions = {},
  ): Promise<FaceMeshPipeline> {
    const bundles = await Promise.all([openBundle(detector, options), openBundle(face3d, options), openJudge(options)]);
    return FaceMeshPipeline.open(bundles, loader(2, options), options);
  }
}

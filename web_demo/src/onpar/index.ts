/** OnPar for the web: open a bundle, get typed results, prove on the spot that they are the reference's. */
export * from './errors';
export { Bundle, filesSource, httpSource, type BundleSource } from './bundle';
export type { Manifest, PreprocessSpec, PostprocessSpec } from './manifest';
export { DepthMap, Picture, YuvFrame, type PixelSource, type Plane, type YuvMatrix, type YuvRange } from './pixels';
export type { Box, Region } from './preprocess';
export type { Classification, FaceBox, FaceBoxes, Keypoints, Mask, VoxelGrid } from './postprocess';
export type { Runner } from './runner';
export { LiteRtRunner, threadsAvailable, webGpuAvailable, type LiteRtOptions } from './litert_runner';
export {
  DepthVoxelizer,
  FaceDetector,
  FaceKeypointDetector,
  FaceReconstructor,
  ImageClassifier,
  SaliencySegmenter,
  type Detection,
  type JudgeOptions,
  type TaskOptions,
  type Timings,
} from './tasks';
export { FaceMesh, FaceTopology, type FaceExpression, type FacePose } from './face_mesh';
export { FaceBoxPipeline } from './face_box_pipeline';
export { FaceMeshPipeline, type MeshOptions } from './face_mesh_pipeline';
export { FaceKeypointPipeline } from './face_keypoint_pipeline';
export type { DetectedFace, TrackerOptions } from './face_tracker';
export { Square } from './square';
export { decodeDepthPng, isDepthPng } from './depth_png';
export { GoldenSelfTest, type SelfTestCheck, type SelfTestReport } from './golden_self_test';
export { CharacterAnimator } from './character_animator';
export type { CharacterClip, CharacterFile } from './character_file';

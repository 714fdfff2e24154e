/** Lets the tests reach the library, with the parts that an app does not see. */
import { getGlobalLiteRt } from '@litertjs/core';
import { runTensors } from '../src/examples/any_network';
import { animate } from '../src/examples/animate';
import { classify } from '../src/examples/classify';
import { findFaces } from '../src/examples/find_faces';
import { findObjects } from '../src/examples/find_objects';
import { makeCharacter } from '../src/examples/make_character';
import { reconstructFaces } from '../src/examples/reconstruct_faces';
import * as onpar from '../src/onpar';
import * as manifest from '../src/onpar/bundle/manifest';
import * as signature from '../src/onpar/bundle/signature';
import * as characterAnimate from '../src/onpar/character/animate';
import * as characterFigure from '../src/onpar/character/figure';
import * as characterRig from '../src/onpar/character/rig';
import * as characterSkeleton from '../src/onpar/character/skeleton';
import * as characterTopology from '../src/onpar/character/topology';
import * as depthPreprocess from '../src/onpar/depth/depth_preprocess';
import * as boxes from '../src/onpar/faces/face_boxes';
import * as finder from '../src/onpar/faces/face_finder';
import * as meshes from '../src/onpar/faces/face_mesh';
import * as tracker from '../src/onpar/faces/face_tracker';
import * as square from '../src/onpar/faces/square';
import * as preprocess from '../src/onpar/image/preprocess';
import * as region from '../src/onpar/image/region';
import * as metrics from '../src/onpar/proof/metrics';
import * as outputs from '../src/onpar/runner/outputs';
import * as depthEstimator from '../src/onpar/tasks/depth_estimator';
import * as depthVoxelizer from '../src/onpar/tasks/depth_voxelizer';
import * as faceKeypointDetector from '../src/onpar/tasks/face_keypoint_detector';
import * as imageClassifier from '../src/onpar/tasks/image_classifier';
import * as imageEmbedder from '../src/onpar/tasks/image_embedder';
import * as imageSegmenter from '../src/onpar/tasks/image_segmenter';
import * as imageToImage from '../src/onpar/tasks/image_to_image';
import * as keypointDetector from '../src/onpar/tasks/keypoint_detector';
import * as objectDetector from '../src/onpar/tasks/object_detector';
import * as saliencySegmenter from '../src/onpar/tasks/saliency_segmenter';

/** Size of LiteRT's WebAssembly memory. */
function wasmBytes(): number {
  return (getGlobalLiteRt().liteRtWasm as unknown as { HEAPU8: Uint8Array }).HEAPU8.byteLength;
}

/** The example of the documentation on a golden picture of the classifier that is there. */
async function classifyExample(bundles: string, wasmPath: string): Promise<string> {
  const names = (await (await fetch(`${bundles}index.json`)).json()) as string[];
  const address = `${bundles}${names.find((name) => name.startsWith('classifier-'))}`;
  const bundle = await onpar.Bundle.open(address);
  return classify(new Blob([bundle.file(bundle.manifest.golden[0]!.raw)]), wasmPath, address);
}

Object.assign(globalThis, {
  onpar: {
    ...onpar,
    ...manifest,
    ...signature,
    ...depthPreprocess,
    ...boxes,
    ...finder,
    ...meshes,
    ...tracker,
    ...square,
    ...preprocess,
    ...region,
    ...metrics,
    ...outputs,
    ...depthEstimator,
    ...depthVoxelizer,
    ...faceKeypointDetector,
    ...imageClassifier,
    ...imageEmbedder,
    ...imageSegmenter,
    ...imageToImage,
    ...keypointDetector,
    ...objectDetector,
    ...saliencySegmenter,
    animateRig: characterAnimate.animate,
    ...characterFigure,
    ...characterRig,
    ...characterSkeleton,
    ...characterTopology,
    makeCharacter,
    wasmBytes,
    classifyExample,
    animate,
    findObjects,
    runTensors,
    findFaces,
    reconstructFaces,
  },
});

/**
 * The task classes. Each opens a bundle, takes a picture, frame or depth map, and gives a typed result with timings.
 * A new one is a decoder in postprocess.ts and a class of a few lines here.
 */
import { Bundle, type BundleSource } from './bundle';
import { BadInput } from './errors';
import { FaceBoxPipeline } from './face_box_pipeline';
import { FaceKeypointPipeline } from './face_keypoint_pipeline';
import { FaceTopology, toFaceMesh, type FaceMesh } from './face_mesh';
import { FaceMeshPipeline, type MeshOptions } from './face_mesh_pipeline';
import { demand } from './face_pipeline';
import type { TrackerOptions } from './face_tracker';
import { LiteRtRunner, type LiteRtOptions } from './litert_runner';
import type { DepthMap, PixelSource } from './pixels';
import {
  toClassification,
  toFaceBoxes,
  toKeypoints,
  toMask,
  toVoxelGrid,
  type Classification,
  type Context,
  type FaceBoxes,
  type Keypoints,
  type Mask,
  type Tensors,
  type VoxelGrid,
} from './postprocess';
import { PicturePreprocessor, preprocessDepth, type Box, type Region } from './preprocess';
import type { Runner } from './runner';

export interface Timings {
  readonly preMs: number;
  readonly inferenceMs: number;
  readonly postMs: number;
}

/** A result with what it took. */
export interface Detection<T> {
  readonly value: T;
  readonly timings: Timings;
  readonly backend: string;
}

export interface TaskOptions extends LiteRtOptions {
  /** PEM of the public key that must have signed the bundle. */
  readonly trustedKey?: string;
}

type Decode<T> = (outputs: Tensors, context: Context) => T;

/** One loaded model. Calls run one after the other; closing waits for the one that runs. */
abstract class Task<I extends { readonly width: number; readonly height: number }, T> {
  #queue: Promise<unknown> = Promise.resolve();
  #busy = 0;
  #closed = false;
  #lastTimestampMs = -Infinity;

  protected constructor(
    readonly bundle: Bundle,
    protected readonly runner: Runner,
    private readonly decode: Decode<T>,
  ) {}

  /** The input tensor, valid until the next call, and the region it shows. */
  protected abstract prepare(input: I, box?: Box | null): { tensor: Float32Array; region: Region };

  /** Image mode: every call is answered, in order. */
  detect(input: I, box?: Box | null): Promise<Detection<T>> {
    if (this.#closed) return Promise.reject(new BadInput('the detector is closed; open the bundle again'));
    this.#busy++;
    // Free again before the caller hears of the answer: its next frame is not late.
    const answer = this.#queue.then(() => this.#run(input, box)).finally(() => this.#busy--);
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  /** Video mode: null for a frame that is not newer than the last, or that comes while another is worked on. */
  async detectForVideo(frame: I, timestampMs: number, box?: Box | null): Promise<Detection<T> | null> {
    if (this.#busy > 0 || timestampMs <= this.#lastTimestampMs) return null;
    this.#lastTimestampMs = timestampMs;
    return this.detect(frame, box);
  }

  /** Give the model's memory back; a call that runs is finished first, later ones are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
    this.runner.close();
  }

  async #run(input: I, box?: Box | null): Promise<Detection<T>> {
    const began = performance.now();
    const { tensor, region } = this.prepare(input, box);
    const prepared = performance.now();
    const outputs = await this.runner.run(tensor);
    const inferred = performance.now();
    const { manifest } = this.bundle;
    const value = this.decode(outputs, { manifest, region, pictureWidth: input.width, pictureHeight: input.height });
    const timings = { preMs: prepared - began, inferenceMs: inferred - prepared, postMs: performance.now() - inferred };
    return { value, timings, backend: this.runner.backend };
  }
}

abstract class PictureTask<T> extends Task<PixelSource, T> {
  readonly #preprocessor = new PicturePreprocessor(this.bundle.manifest.preprocess);

  protected override prepare(input: PixelSource, box?: Box | null): { tensor: Float32Array; region: Region } {
    const region = this.#preprocessor.run(input, box);
    return { tensor: this.#preprocessor.tensor, region };
  }
}

abstract class DepthTask<T> extends Task<DepthMap, T> {
  protected override prepare(input: DepthMap, box?: Box | null): { tensor: Float32Array; region: Region } {
    return preprocessDepth(input, this.bundle.manifest.preprocess, box);
  }
}

type From = string | URL | BundleSource | Bundle;

async function open(from: From, result: string, options: TaskOptions): Promise<readonly [Bundle, Runner]> {
  const bundle = await openBundle(from, options);
  demand(bundle, result);
  return [bundle, await LiteRtRunner.load(bundle, options)];
}

async function openBundle(from: From, options: TaskOptions): Promise<Bundle> {
  return from instanceof Bundle ? from : Bundle.open(from, options.trustedKey);
}

/** Of a pipeline: the second network of the detector's cascade, which looks at each of its boxes. */
export interface JudgeOptions {
  readonly detectorRefined?: From | null;
}

async function openJudge({ detectorRefined = null, ...options }: TaskOptions & JudgeOptions): Promise<Bundle | null> {
  return detectorRefined === null ? null : openBundle(detectorRefined, options);
}

/** The networks of a pipeline work one after the other, but each keeps its threads. */
function loader(networks: number, options: TaskOptions): (bundle: Bundle) => Promise<Runner> {
  const threads = 1 + Math.floor(globalThis.navigator.hardwareConcurrency / networks);
  return (bundle) => LiteRtRunner.load(bundle, { threads, ...options });
}

/** What a picture shows. */
export class ImageClassifier extends PictureTask<Classification> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<ImageClassifier> {
    return new ImageClassifier(...(await open(from, 'Classification', options)), toClassification);
  }
}

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

/** Which pixels belong to the salient object. */
export class SaliencySegmenter extends PictureTask<Mask> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<SaliencySegmenter> {
    return new SaliencySegmenter(...(await open(from, 'Mask', options)), toMask);
  }
}

/** A solid from one depth map. */
export class DepthVoxelizer extends DepthTask<VoxelGrid> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<DepthVoxelizer> {
    return new DepthVoxelizer(...(await open(from, 'VoxelGrid', options)), toVoxelGrid);
  }
}

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

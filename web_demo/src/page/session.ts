/** One opened bundle with its task, whatever the task is. */
import {
  BadInput,
  BackendUnavailable,
  Bundle,
  decodeDepthPng,
  DepthEstimator,
  DepthVoxelizer,
  FaceDetector,
  FaceKeypointDetector,
  FaceMesh,
  FaceReconstructor,
  ImageClassifier,
  ImageEmbedder,
  ImageSegmenter,
  ImageToImage,
  isDepthPng,
  KeypointDetector,
  ObjectDetector,
  Picture,
  SaliencySegmenter,
  type BundleSource,
  type DepthMap,
  type DetectedFace,
  type Detection,
} from '../onpar';
import { drawClasses, drawDepth, drawNewPicture, drawObjects } from './any_network';
import {
  depthPicture,
  drawDots,
  drawFaces,
  drawMask,
  drawMesh,
  drawPicture,
  drawPoints,
  type Drawable,
} from './drawing';
import { Solid } from './solid';

/** An input as the library takes it and as it is shown. */
export interface Input {
  readonly data: Picture | DepthMap;
  readonly shown: Drawable;
  /** A picture of the user: faces are searched in it. A golden input of a keypoint network is a face's crop already. */
  readonly ofUser?: boolean;
}

/** What the page says and draws about a result. */
export interface Shown {
  readonly summary: string;
  readonly scores: readonly { readonly label: string; readonly score: number }[];
  readonly solid?: Solid;
}

interface Searching {
  detect(input: never): Promise<Detection<unknown>>;
  detectForVideo(input: never, timestampMs: number): Promise<Detection<unknown> | null>;
  close(): Promise<void>;
}

interface Detector extends Searching {
  readonly bundle: Bundle;
}

/** A task of the library and how its result is shown; a new result type is one more entry. */
interface Kind<D extends Detector> {
  readonly open: (bundle: Bundle) => Promise<D>;
  readonly show: (value: Awaited<ReturnType<D['detect']>>['value'], canvas: HTMLCanvasElement, input: Input) => Shown;
  /** Finds all faces of a picture with the bundles that help; null where they are not there. */
  readonly search?: (bundle: Bundle, helpers: Helpers) => Promise<Searching | null>;
}

function kind<D extends Detector>(entry: Kind<D>): Kind<Detector> {
  return entry as unknown as Kind<Detector>;
}

const KINDS: Readonly<Record<string, Kind<Detector>>> = {
  Classification: kind<ImageClassifier>({
    open: (bundle) => ImageClassifier.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawInput(canvas, input);
      const summary = value.known ? `${value.label}, ${percent(value.score)}` : 'none of these';
      return { summary, scores: value.scores };
    },
  }),
  FaceBoxes: kind<FaceDetector>({
    open: (bundle) => FaceDetector.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawFaces(canvas, value, drawInput(canvas, input));
      const count = value.faces.length;
      return { summary: count === 1 ? '1 face' : `${count} faces`, scores: [] };
    },
    search: async (bundle, { detectorRefined }) =>
      detectorRefined === undefined ? null : FaceDetector.fromBundles(bundle, detectorRefined, { accelerator: 'auto' }),
  }),
  Keypoints: kind<FaceKeypointDetector>({
    open: (bundle) => FaceKeypointDetector.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawPoints(canvas, value, drawInput(canvas, input));
      return { summary: `${value.pointsPx.length / 2} points on the face`, scores: [] };
    },
    search: async (bundle, { detector, refined, detectorRefined = null }) =>
      detector === undefined || refined?.endsWith(bundle.name)
        ? null
        : FaceKeypointDetector.fromBundles(detector, bundle, refined ?? null, { accelerator: 'auto', detectorRefined }),
  }),
  FaceMesh: kind<FaceReconstructor>({
    open: (bundle) => FaceReconstructor.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawMesh(canvas, value, drawInput(canvas, input));
      return { summary: turned(value), scores: [] };
    },
    search: async (bundle, { detector, detectorRefined = null }) =>
      detector === undefined
        ? null
        : FaceReconstructor.fromBundles(detector, bundle, { accelerator: 'auto', detectorRefined }),
  }),
  Mask: kind<SaliencySegmenter>({
    open: (bundle) => SaliencySegmenter.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawInput(canvas, input);
      drawMask(canvas, value);
      return { summary: `${percent(value.share)} of the picture stands out`, scores: [] };
    },
  }),
  Detections: kind<ObjectDetector>({
    open: (bundle) => ObjectDetector.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawObjects(canvas, value, drawInput(canvas, input));
      const count = value.objects.length;
      return { summary: count === 1 ? '1 object' : `${count} objects`, scores: value.objects };
    },
  }),
  Segmentation: kind<ImageSegmenter>({
    open: (bundle) => ImageSegmenter.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawInput(canvas, input);
      drawClasses(canvas, value, input.data.width, input.data.height);
      const scores = value.shares().map(({ label, share }) => ({ label, score: share }));
      return { summary: `${scores[0]!.label} covers most: ${percent(scores[0]!.score)}`, scores };
    },
  }),
  Depth: kind<DepthEstimator>({
    open: (bundle) => DepthEstimator.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawInput(canvas, input);
      drawDepth(canvas, value, input.data.width, input.data.height);
      return { summary: `depth as ${value.unit.replaceAll('_', ' ')}, near is bright`, scores: [] };
    },
  }),
  Points: kind<KeypointDetector>({
    open: (bundle) => KeypointDetector.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawDots(canvas, value.pointsPx, drawInput(canvas, input), canvas.width / 110);
      return { summary: `${value.pointsPx.length / 2} points`, scores: [] };
    },
  }),
  Embedding: kind<ImageEmbedder>({
    open: (bundle) => ImageEmbedder.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawInput(canvas, input);
      return { summary: `a vector of ${value.vector.length} numbers`, scores: [] };
    },
  }),
  NewPicture: kind<ImageToImage>({
    open: (bundle) => ImageToImage.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas) => {
      drawNewPicture(canvas, value);
      return { summary: `a picture of ${value.width} x ${value.height} pixels`, scores: [] };
    },
  }),
  VoxelGrid: kind<DepthVoxelizer>({
    open: (bundle) => DepthVoxelizer.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value) => {
      const count = value.filledVoxels.toLocaleString('en');
      return { summary: `${count} of ${value.size}³ voxels filled`, scores: [], solid: new Solid(value) };
    },
  }),
};

/** The bundles beside the page that work with one for faces: what finds faces, and what refines their points. */
export interface Helpers {
  readonly detector?: string | undefined;
  readonly detectorRefined?: string | undefined;
  readonly refined?: string | undefined;
}

export class Session {
  private constructor(
    readonly bundle: Bundle,
    readonly detector: Detector,
    readonly kind: Kind<Detector>,
    readonly faces: Searching | null,
  ) {}

  static async open(source: string | BundleSource, helpers: Helpers = {}): Promise<Session> {
    const bundle = await Bundle.open(source);
    const { result } = bundle.manifest.postprocess;
    if (!bundle.manifest.takesPicture) {
      throw new BackendUnavailable(
        `${bundle.name} takes tensors, and this page shows pictures; the library's TensorModel runs it`,
      );
    }
    const found = KINDS[result];
    if (found === undefined) {
      throw new BackendUnavailable(
        `this page can't show a ${result}; allowed: ${Object.keys(KINDS).join(', ')}; update it`,
      );
    }
    const faces = (await found.search?.(bundle, helpers)) ?? null;
    return new Session(bundle, await found.open(bundle), found, faces);
  }

  get takesDepth(): boolean {
    return this.bundle.manifest.preprocess.color === 'DEPTH';
  }

  /** A file of the user, or a golden input. */
  async read(blob: Blob, ofUser = false): Promise<Input> {
    const content = new Uint8Array(await blob.arrayBuffer());
    if (this.takesDepth) {
      const data = await decodeDepthPng(content);
      return { data, shown: depthPicture(data) };
    }
    if (isDepthPng(content)) throw new BadInput('the file is 16-bit grey, a depth map; this model takes pictures');
    const data = await Picture.fromBlob(blob);
    return { data, shown: await createImageBitmap(blob), ofUser };
  }

  goldenInputs(): Blob[] {
    return this.bundle.manifest.golden.map(({ raw }) => new Blob([this.bundle.file(raw)]));
  }

  detect(input: Input): Promise<Detection<unknown>> {
    if (this.faces !== null && input.ofUser) return this.faces.detect(input.data as never);
    return this.detector.detect(input.data as never);
  }

  detectForVideo(input: Input, timestampMs: number): Promise<Detection<unknown> | null> {
    if (this.faces !== null) return this.faces.detectForVideo(input.data as never, timestampMs);
    return this.detector.detectForVideo(input.data as never, timestampMs);
  }

  show(detection: Detection<unknown>, canvas: HTMLCanvasElement, input: Input): Shown {
    const { value } = detection;
    return Array.isArray(value)
      ? showFaces(value as (DetectedFace | FaceMesh)[], canvas, input)
      : this.kind.show(value, canvas, input);
  }

  async close(): Promise<void> {
    await this.faces?.close();
    await this.detector.close();
  }
}

function showFaces(faces: readonly (DetectedFace | FaceMesh)[], canvas: HTMLCanvasElement, input: Input): Shown {
  const scale = drawInput(canvas, input);
  const meshes = faces.filter((face) => face instanceof FaceMesh);
  for (const face of faces) {
    if (face instanceof FaceMesh) drawMesh(canvas, face, scale);
    else drawPoints(canvas, face, scale);
  }
  const [first] = meshes;
  if (faces[0] === undefined) return { summary: 'no face found', scores: [] };
  const count = faces.length === 1 ? '1 face' : `${faces.length} faces`;
  if (first)
    return { summary: faces.length === 1 ? turned(first) : `${count}; the largest ${turned(first)}`, scores: [] };
  const points = (faces[0] as DetectedFace).pointsPx.length / 2;
  return { summary: `${count}, ${points} points${faces.length === 1 ? '' : ' each'}`, scores: [] };
}

/** Where a face looks, for people. */
function turned({ poseDegrees: { yaw, pitch, roll } }: FaceMesh): string {
  const part = (degrees: number, positive: string, negative: string): string =>
    `${Math.abs(degrees).toFixed(0)}° ${degrees < 0 ? negative : positive}`;
  return `turned ${part(yaw, 'right', 'left')}, ${part(pitch, 'down', 'up')}, tilted ${part(-roll, 'right', 'left')}`;
}

function drawInput(canvas: HTMLCanvasElement, { data, shown }: Input): number {
  return drawPicture(canvas, shown, data.width, data.height);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

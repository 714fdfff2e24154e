/** One opened bundle with its task, whatever the task is. */
import {
  BadInput,
  BackendUnavailable,
  Bundle,
  decodeDepthPng,
  DepthVoxelizer,
  FaceDetector,
  FaceKeypointDetector,
  ImageClassifier,
  isDepthPng,
  Picture,
  SaliencySegmenter,
  type BundleSource,
  type DepthMap,
  type Detection,
} from '../onpar';
import { depthPicture, drawFaces, drawMask, drawPicture, drawPoints, type Drawable } from './drawing';
import { Solid } from './solid';

/** An input as the library takes it and as it is shown. */
export interface Input {
  readonly data: Picture | DepthMap;
  readonly shown: Drawable;
}

/** What the page says and draws about a result. */
export interface Shown {
  readonly summary: string;
  readonly scores: readonly { readonly label: string; readonly score: number }[];
  readonly solid?: Solid;
}

interface Detector {
  readonly bundle: Bundle;
  detect(input: never, box?: never): Promise<Detection<unknown>>;
  detectForVideo(input: never, timestampMs: number): Promise<Detection<unknown> | null>;
  close(): Promise<void>;
}

/** A task of the library and how its result is shown; a new result type is one more entry. */
interface Kind<D extends Detector> {
  readonly open: (bundle: Bundle) => Promise<D>;
  readonly show: (value: Awaited<ReturnType<D['detect']>>['value'], canvas: HTMLCanvasElement, input: Input) => Shown;
}

function kind<D extends Detector>(entry: Kind<D>): Kind<Detector> {
  return entry as unknown as Kind<Detector>;
}

const KINDS: Readonly<Record<string, Kind<Detector>>> = {
  Classification: kind<ImageClassifier>({
    open: (bundle) => ImageClassifier.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawInput(canvas, input);
      return { summary: `${value.label}, ${percent(value.score)}`, scores: value.scores };
    },
  }),
  FaceBoxes: kind<FaceDetector>({
    open: (bundle) => FaceDetector.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawFaces(canvas, value, drawInput(canvas, input));
      const count = value.faces.length;
      return { summary: count === 1 ? '1 face' : `${count} faces`, scores: [] };
    },
  }),
  Keypoints: kind<FaceKeypointDetector>({
    open: (bundle) => FaceKeypointDetector.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawPoints(canvas, value, drawInput(canvas, input));
      return { summary: '68 points on the face', scores: [] };
    },
  }),
  Mask: kind<SaliencySegmenter>({
    open: (bundle) => SaliencySegmenter.fromBundle(bundle, { accelerator: 'auto' }),
    show: (value, canvas, input) => {
      drawInput(canvas, input);
      drawMask(canvas, value);
      return { summary: `${percent(value.share)} of the picture stands out`, scores: [] };
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

export class Session {
  private constructor(
    readonly bundle: Bundle,
    readonly detector: Detector,
    readonly kind: Kind<Detector>,
  ) {}

  static async open(source: string | BundleSource): Promise<Session> {
    const bundle = await Bundle.open(source);
    const { result } = bundle.manifest.postprocess;
    const found = KINDS[result];
    if (found === undefined) {
      throw new BackendUnavailable(
        `this page can't show a ${result}; allowed: ${Object.keys(KINDS).join(', ')}; update it`,
      );
    }
    return new Session(bundle, await found.open(bundle), found);
  }

  get takesDepth(): boolean {
    return this.bundle.manifest.preprocess.color === 'DEPTH';
  }

  /** A file of the user, or a golden input. */
  async read(blob: Blob): Promise<Input> {
    const content = new Uint8Array(await blob.arrayBuffer());
    if (this.takesDepth) {
      const data = await decodeDepthPng(content);
      return { data, shown: depthPicture(data) };
    }
    if (isDepthPng(content)) throw new BadInput('the file is 16-bit grey, a depth map; this model takes pictures');
    const data = await Picture.fromBlob(blob);
    return { data, shown: await createImageBitmap(blob) };
  }

  goldenInputs(): Blob[] {
    return this.bundle.manifest.golden.map(({ raw }) => new Blob([this.bundle.file(raw)]));
  }

  detect(input: Input): Promise<Detection<unknown>> {
    return this.detector.detect(input.data as never);
  }

  detectForVideo(input: Input, timestampMs: number): Promise<Detection<unknown> | null> {
    return this.detector.detectForVideo(input.data as never, timestampMs);
  }

  show(detection: Detection<unknown>, canvas: HTMLCanvasElement, input: Input): Shown {
    return this.kind.show(detection.value, canvas, input);
  }

  close(): Promise<void> {
    return this.detector.close();
  }
}

function drawInput(canvas: HTMLCanvasElement, { data, shown }: Input): number {
  return drawPicture(canvas, shown, data.width, data.height);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

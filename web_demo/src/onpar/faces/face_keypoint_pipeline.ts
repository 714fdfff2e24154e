/** A face detector and one or two keypoint networks: every face of a picture, or faces followed through a video. */
import { demand, type Bundle } from '../bundle/bundle';
import { BadInput } from '../bundle/errors';
import type { PixelSource } from '../image/pixels';
import { output } from '../runner/outputs';
import { loadAll, type LoadRunner, type Runner } from '../runner/runner';
import { demandJudge, faceFinder } from './face_finder';
import { FacePipeline } from './face_pipeline';
import { FaceTracker, type DetectedFace, type PointNetwork, type TrackerOptions } from './face_tracker';
import { FACE_POINTS } from './square';

/** A detector, a keypoint network, where there is one its second network, and where there is one the detector's. */
export type Bundles = readonly [Bundle, Bundle, (Bundle | null)?, (Bundle | null)?];

/**
 * `FaceKeypointDetector.fromBundles` opens one. Faces come largest first. Calls run one after the other; closing waits for
 * the one that runs. In a video the detector runs only when a face is lost and every `checkEvery` frames, so that a track
 * that drifted onto something else ends and a new face is seen.
 */
export class FaceKeypointPipeline extends FacePipeline<readonly DetectedFace[]> {
  readonly #tracker: FaceTracker;

  private constructor([detector, keypoints, , judge]: Bundles, runners: readonly Runner[], options: TrackerOptions) {
    super(runners);
    const [first, second] = runners.slice(1, judge ? -1 : undefined).map((runner) => this.#network(keypoints, runner));
    const find = faceFinder(detector, runners[0]!, this.clock, judge && { bundle: judge, runner: runners.at(-1)! });
    const size = keypoints.manifest.preprocess.size[0];
    this.#tracker = new FaceTracker(find, first!, second ?? null, size, options, this.clock);
  }

  /** Checks that the bundles belong together and loads them; what was loaded is closed where another can't be. */
  static async open(bundles: Bundles, load: LoadRunner, options: TrackerOptions = {}): Promise<FaceKeypointPipeline> {
    const [detector, keypoints, refined, judge] = bundles;
    demand(detector, 'FaceBoxes');
    if (judge) demandJudge(judge);
    const networks = [keypoints, ...(refined ? [refined] : [])];
    for (const bundle of networks) demandFacePoints(bundle);
    const size = keypoints.manifest.preprocess.size[0];
    if (networks.some((bundle) => bundle.manifest.preprocess.size.some((side) => side !== size))) {
      throw new BadInput(`${keypoints.name} takes ${size} rows; the networks of one pipeline take squares of one size`);
    }
    const runners = await loadAll([detector, ...networks, ...(judge ? [judge] : [])], load);
    try {
      return new FaceKeypointPipeline(bundles, runners, options);
    } catch (error) {
      for (const runner of runners) runner.close();
      throw error;
    }
  }

  /** How often the detector ran since the video began. */
  get detectorRuns(): number {
    return this.#tracker.detectorRuns;
  }

  protected override find(picture: PixelSource): Promise<readonly DetectedFace[]> {
    return this.#tracker.detect(picture);
  }

  protected override follow(frame: PixelSource, timestampMs: number): Promise<readonly DetectedFace[]> {
    return this.#tracker.detectForVideo(frame, timestampMs);
  }

  /** Forget the video so far: the next frame begins a new one, at any time. */
  async reset(): Promise<void> {
    await this.forgetTime();
    this.#tracker.reset();
  }

  #network(bundle: Bundle, runner: Runner): PointNetwork {
    const [points, template = points] = bundle.manifest.modelFiles[0]!.outputs.map((entry) => entry.name);
    return async (tensor) => {
      const outputs = await this.clock.inference(() => runner.run(tensor));
      return { points: output(outputs, points!), template: output(outputs, template!) };
    };
  }
}

function demandFacePoints(bundle: Bundle): void {
  demand(bundle, 'Keypoints');
  const shape = bundle.manifest.modelFiles[0]?.outputs[0]?.shape ?? [];
  if (shape.join() !== `1,${FACE_POINTS},2`) {
    throw new BadInput(`${bundle.name} gives points of shape ${shape}; the pipeline needs 1,${FACE_POINTS},2`);
  }
}

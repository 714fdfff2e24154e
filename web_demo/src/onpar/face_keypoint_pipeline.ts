/** A face detector and one or two keypoint networks: every face of a picture, or faces followed through a video. */
import { Bundle } from './bundle';
import { BadInput } from './errors';
import { demandJudge, faceFinder } from './face_finder';
import { FaceTracker, StageClock, type DetectedFace, type PointNetwork, type TrackerOptions } from './face_tracker';
import type { PixelSource } from './pixels';
import { output } from './postprocess';
import type { Runner } from './runner';
import { FACE_POINTS } from './square';
import type { Detection } from './tasks';

/** A detector, a keypoint network, where there is one its second network, and where there is one the detector's. */
export type Bundles = readonly [Bundle, Bundle, (Bundle | null)?, (Bundle | null)?];

/** Opens a runner for a bundle. */
export type LoadRunner = (bundle: Bundle) => Promise<Runner>;

/**
 * `FaceKeypointDetector.fromBundles` opens one. Calls run one after the other; closing waits for the one that runs. In a
 * video the detector runs only when a face is lost and every `checkEvery` frames, so that a track that drifted onto
 * something else ends and a new face is seen.
 */
export class FaceKeypointPipeline {
  readonly #tracker: FaceTracker;
  readonly #backend: string;
  #queue: Promise<unknown> = Promise.resolve();
  #busy = 0;
  #closed = false;
  #lastTimestampMs = -Infinity;

  private constructor(
    [detector, keypoints, , judge]: Bundles,
    private readonly runners: readonly Runner[],
    options: TrackerOptions,
  ) {
    const [first, second] = runners.slice(1, judge ? -1 : undefined).map((runner) => this.#network(keypoints, runner));
    const clock = new StageClock();
    const find = faceFinder(detector, runners[0]!, clock, judge && { bundle: judge, runner: runners.at(-1)! });
    const size = keypoints.manifest.preprocess.size[0];
    this.#tracker = new FaceTracker(find, first!, second ?? null, size, options, clock);
    this.#backend = [...new Set(runners.map((runner) => runner.backend))].join(', ');
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

  /** Image mode: every face, largest first. Every call is answered, in order. */
  detect(picture: PixelSource): Promise<Detection<readonly DetectedFace[]>> {
    return this.#enqueue(() => this.#tracker.detect(picture));
  }

  /** Video mode: null for a frame that is not newer than the last, or that comes while another is worked on. */
  async detectForVideo(frame: PixelSource, timestampMs: number): Promise<Detection<readonly DetectedFace[]> | null> {
    if (this.#busy > 0 || timestampMs <= this.#lastTimestampMs) return null;
    this.#lastTimestampMs = timestampMs;
    return this.#enqueue(() => this.#tracker.detectForVideo(frame));
  }

  /** Forget the video so far: the next frame begins a new one, at any time. */
  async reset(): Promise<void> {
    await this.#queue;
    this.#tracker.reset();
    this.#lastTimestampMs = -Infinity;
  }

  /** Give the models' memory back; a call that runs is finished first, later ones are refused. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue;
    for (const runner of this.runners) runner.close();
  }

  #enqueue(work: () => Promise<readonly DetectedFace[]>): Promise<Detection<readonly DetectedFace[]>> {
    if (this.#closed) return Promise.reject(new BadInput('the detector is closed; open the bundles again'));
    this.#busy++;
    // Free again before the caller hears of the answer: its next frame is not late.
    const answer = this.#queue.then(() => this.#run(work)).finally(() => this.#busy--);
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  async #run(work: () => Promise<readonly DetectedFace[]>): Promise<Detection<readonly DetectedFace[]>> {
    const { clock } = this.#tracker;
    [clock.preMs, clock.inferenceMs] = [0, 0];
    const began = performance.now();
    const value = await work();
    const { preMs, inferenceMs } = clock;
    const postMs = Math.max(0, performance.now() - began - preMs - inferenceMs);
    return { value, timings: { preMs, inferenceMs, postMs }, backend: this.#backend };
  }

  #network(bundle: Bundle, runner: Runner): PointNetwork {
    const [points, template = points] = bundle.manifest.modelFiles[0]!.outputs.map((entry) => entry.name);
    return async (tensor) => {
      const outputs = await this.#tracker.clock.inference(() => runner.run(tensor));
      return { points: output(outputs, points!), template: output(outputs, template!) };
    };
  }
}

/** A runner for each bundle; what was loaded is closed where another can't be. */
export async function loadAll(bundles: readonly Bundle[], load: LoadRunner): Promise<Runner[]> {
  const runners: Runner[] = [];
  try {
    for (const bundle of bundles) runners.push(await load(bundle));
    return runners;
  } catch (error) {
    for (const runner of runners) runner.close();
    throw error;
  }
}

export function demand(bundle: Bundle, result: string): void {
  const given = bundle.manifest.postprocess.result;
  if (given !== result) {
    throw new BadInput(`${bundle.name} gives ${given}; this class needs a bundle that gives ${result}`);
  }
}

function demandFacePoints(bundle: Bundle): void {
  demand(bundle, 'Keypoints');
  const shape = bundle.manifest.modelFiles[0]?.outputs[0]?.shape ?? [];
  if (shape.join() !== `1,${FACE_POINTS},2`) {
    throw new BadInput(`${bundle.name} gives points of shape ${shape}; the pipeline needs 1,${FACE_POINTS},2`);
  }
}

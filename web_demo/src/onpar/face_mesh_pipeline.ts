/** A face detector and a network for face meshes: every face of a picture or frame. */
import type { Bundle } from './bundle';
import { BadInput } from './errors';
import { demandJudge, faceFinder } from './face_finder';
import { demand, loadAll, type LoadRunner } from './face_keypoint_pipeline';
import { FaceTopology, toFaceMesh, type FaceMesh } from './face_mesh';
import { StageClock, type FindFaces } from './face_tracker';
import type { PixelSource } from './pixels';
import { PicturePreprocessor, type Region } from './preprocess';
import type { Runner } from './runner';
import { LARGEST_SIDE_OF_PICTURE, regionAround } from './square';
import type { Detection } from './tasks';

export interface MeshOptions {
  /** Faces, the largest first; 8 without it. */
  readonly most?: number;
}

/**
 * `FaceReconstructor.fromBundles` opens one. The network looks at each face twice: at the detector's square, which is
 * rough, and at the square around the landmarks that it found there. Calls run one after the other; closing waits for
 * the one that runs.
 */
export class FaceMeshPipeline {
  readonly #clock = new StageClock();
  readonly #find: FindFaces;
  readonly #crop: PicturePreprocessor;
  readonly #backend: string;
  #queue: Promise<unknown> = Promise.resolve();
  #busy = 0;
  #closed = false;
  #lastTimestampMs = -Infinity;

  private constructor(
    detector: Bundle,
    private readonly face3d: Bundle,
    judge: Bundle | null,
    private readonly runners: readonly Runner[],
    private readonly topology: FaceTopology,
    private readonly most: number,
  ) {
    this.#find = faceFinder(detector, runners[0]!, this.#clock, judge && { bundle: judge, runner: runners[2]! });
    this.#crop = new PicturePreprocessor(face3d.manifest.preprocess);
    this.#backend = [...new Set(runners.map((runner) => runner.backend))].join(', ');
  }

  /** Checks that the bundles belong together and loads them; what was loaded is closed where another can't be. */
  static async open(
    [detector, face3d, judge = null]: readonly [Bundle, Bundle, (Bundle | null)?],
    load: LoadRunner,
    { most = 8 }: MeshOptions = {},
  ): Promise<FaceMeshPipeline> {
    demand(detector, 'FaceBoxes');
    demand(face3d, 'FaceMesh');
    if (judge) demandJudge(judge);
    if (!(most >= 1)) throw new BadInput(`most is ${most}; allowed: 1 or more`);
    const topology = FaceTopology.of(face3d);
    const runners = await loadAll([detector, face3d, ...(judge ? [judge] : [])], load);
    return new FaceMeshPipeline(detector, face3d, judge, runners, topology, most);
  }

  /** Image mode: every face, largest first. Every call is answered, in order. */
  detect(picture: PixelSource): Promise<Detection<readonly FaceMesh[]>> {
    if (this.#closed) return Promise.reject(new BadInput('the detector is closed; open the bundles again'));
    this.#busy++;
    // Free again before the caller hears of the answer: its next frame is not late.
    const answer = this.#queue.then(() => this.#run(picture)).finally(() => this.#busy--);
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  /** Video mode: null for a frame that is not newer than the last, or that comes while another is worked on. */
  async detectForVideo(frame: PixelSource, timestampMs: number): Promise<Detection<readonly FaceMesh[]> | null> {
    if (this.#busy > 0 || timestampMs <= this.#lastTimestampMs) return null;
    this.#lastTimestampMs = timestampMs;
    return this.detect(frame);
  }

  /** Give the models' memory back; a call that runs is finished first, later ones are refused. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue;
    for (const runner of this.runners) runner.close();
  }

  async #run(picture: PixelSource): Promise<Detection<readonly FaceMesh[]>> {
    const clock = this.#clock;
    [clock.preMs, clock.inferenceMs] = [0, 0];
    const began = performance.now();
    const regions = [...(await this.#find(picture))].sort((a, b) => b.width - a.width).slice(0, this.most);
    const value: FaceMesh[] = [];
    for (const rough of regions) {
      const region = regionAround((await this.#look(picture, rough)).landmarksPx());
      const largest = LARGEST_SIDE_OF_PICTURE * Math.max(picture.width, picture.height);
      // Otherwise the landmarks are no face's.
      if (region.width > 0 && region.width <= largest) value.push(await this.#look(picture, region));
    }
    const { preMs, inferenceMs } = clock;
    const postMs = Math.max(0, performance.now() - began - preMs - inferenceMs);
    return { value, timings: { preMs, inferenceMs, postMs }, backend: this.#backend };
  }

  async #look(picture: PixelSource, region: Region): Promise<FaceMesh> {
    this.#clock.pre(() => this.#crop.sample(picture, region));
    const outputs = await this.#clock.inference(() => this.runners[1]!.run(this.#crop.tensor));
    const { manifest } = this.face3d;
    const context = { manifest, region, pictureWidth: picture.width, pictureHeight: picture.height };
    return toFaceMesh(outputs, context, this.topology);
  }
}

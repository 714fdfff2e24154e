/** What the pipelines share: one call after the other, late frames dropped, models closed once. */
import { BadInput } from '../bundle/errors';
import type { PixelSource } from '../image/pixels';
import type { Detection } from '../runner/detection';
import type { Runner } from '../runner/runner';
import { StageClock } from './face_tracker';

/** Networks that look at a picture one after the other. */
export abstract class FacePipeline<T> {
  protected readonly clock = new StageClock();
  readonly #backend: string;
  #queue: Promise<unknown> = Promise.resolve();
  #busy = 0;
  #closed = false;
  #lastTimestampMs = -Infinity;

  protected constructor(protected readonly runners: readonly Runner[]) {
    this.#backend = [...new Set(runners.map((runner) => runner.backend))].join(', ');
  }

  protected abstract find(picture: PixelSource): Promise<T>;

  /** The same of a frame, with what is known of the ones before. */
  protected follow(frame: PixelSource, _timestampMs: number): Promise<T> {
    return this.find(frame);
  }

  /** Image mode: every face. Every call is answered, in order. */
  detect(picture: PixelSource): Promise<Detection<T>> {
    return this.#enqueue(() => this.find(picture));
  }

  /** Video mode: null for a frame that is not newer than the last, or that comes while another is worked on. */
  async detectForVideo(frame: PixelSource, timestampMs: number): Promise<Detection<T> | null> {
    if (this.#busy > 0 || timestampMs <= this.#lastTimestampMs) return null;
    this.#lastTimestampMs = timestampMs;
    return this.#enqueue(() => this.follow(frame, timestampMs));
  }

  /** Give the models' memory back; a call that runs is finished first, later ones are refused. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue;
    for (const runner of this.runners) runner.close();
  }

  /** Once the calls so far are answered: any frame is newer than the last. */
  protected async forgetTime(): Promise<void> {
    await this.#queue;
    this.#lastTimestampMs = -Infinity;
  }

  #enqueue(work: () => Promise<T>): Promise<Detection<T>> {
    if (this.#closed) return Promise.reject(new BadInput('the detector is closed; open the bundles again'));
    this.#busy++;
    // Free again before the caller hears of the answer: its next frame is not late.
    const answer = this.#queue.then(() => this.#run(work)).finally(() => this.#busy--);
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  async #run(work: () => Promise<T>): Promise<Detection<T>> {
    const { clock } = this;
    [clock.preMs, clock.inferenceMs] = [0, 0];
    const began = performance.now();
    const value = await work();
    const { preMs, inferenceMs } = clock;
    const postMs = Math.max(0, performance.now() - began - preMs - inferenceMs);
    return { value, timings: { preMs, inferenceMs, postMs }, backend: this.#backend };
  }
}

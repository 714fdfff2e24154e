/**
 * What the tasks share: one model, one call after the other, late frames dropped, a typed result with timings.
 * A new task is a file beside this one (result type, decoder, class) and its line in index.ts.
 */
import type { Bundle } from '../bundle/bundle';
import { BadInput } from '../bundle/errors';
import type { DepthMap } from '../depth/depth_map';
import { preprocessDepth } from '../depth/depth_preprocess';
import type { PixelSource } from '../image/pixels';
import { PicturePreprocessor } from '../image/preprocess';
import type { Box, Region } from '../image/region';
import type { Detection } from '../runner/detection';
import type { Context, Tensors } from '../runner/outputs';
import type { Runner } from '../runner/runner';

export type Decode<T> = (outputs: Tensors, context: Context) => T;

/** One loaded model. Calls run one after the other; closing waits for the one that runs. */
export abstract class Task<I extends { readonly width: number; readonly height: number }, T> {
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

export abstract class PictureTask<T> extends Task<PixelSource, T> {
  readonly #preprocessor = new PicturePreprocessor(this.bundle.manifest.preprocess);

  protected override prepare(input: PixelSource, box?: Box | null): { tensor: Float32Array; region: Region } {
    const region = this.#preprocessor.run(input, box);
    return { tensor: this.#preprocessor.tensor, region };
  }
}

export abstract class DepthTask<T> extends Task<DepthMap, T> {
  protected override prepare(input: DepthMap, box?: Box | null): { tensor: Float32Array; region: Region } {
    return preprocessDepth(input, this.bundle.manifest.preprocess, box);
  }
}

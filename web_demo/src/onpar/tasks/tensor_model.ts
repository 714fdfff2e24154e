/** Any bundle, without a meaning: tensors by name in, tensors by name out. */
import type { Bundle } from '../bundle/bundle';
import { BadInput } from '../bundle/errors';
import type { TensorEntry } from '../bundle/manifest';
import type { NamedValues } from '../bundle/values';
import type { Detection } from '../runner/detection';
import { LiteRtRunner } from '../runner/litert_runner';
import type { Runner } from '../runner/runner';
import { openBundle, type From, type TaskOptions } from './open';

export class TensorModel {
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(
    readonly bundle: Bundle,
    private readonly runner: Runner,
  ) {}

  static async fromBundle(from: From, options: TaskOptions = {}): Promise<TensorModel> {
    const bundle = await openBundle(from, options);
    return new TensorModel(bundle, await LiteRtRunner.load(bundle, options));
  }

  /** Name, shape and type of what {@link run} takes. */
  get inputs(): readonly TensorEntry[] {
    return this.bundle.manifest.inputs;
  }

  /** Name, shape and type of what {@link run} gives. */
  get outputs(): readonly TensorEntry[] {
    return this.bundle.manifest.outputs;
  }

  /**
   * Outputs by name. Calls run one after the other.
   *
   * @param inputs an array for each input, row by row: Float32Array for float32, Int32Array for int32, BigInt64Array for
   *   int64, Uint8Array for uint8 and, as 0 and 1, for bool. A picture counts as any other tensor.
   */
  run(inputs: NamedValues): Promise<Detection<NamedValues>> {
    if (this.#closed) return Promise.reject(new BadInput('the model is closed; open the bundle again'));
    const answer = this.#queue.then(() => this.#run(inputs));
    this.#queue = answer.catch(() => undefined);
    return answer;
  }

  /** Give the model's memory back; a call that runs is finished first, later ones are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
    this.runner.close();
  }

  async #run(inputs: NamedValues): Promise<Detection<NamedValues>> {
    const began = performance.now();
    const value = await this.runner.runTensors(inputs);
    const timings = { preMs: 0, inferenceMs: performance.now() - began, postMs: 0 };
    return { value, timings, backend: this.runner.backend };
  }
}

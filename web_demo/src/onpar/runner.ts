/** What runs an artifact; {@link LiteRtRunner} is the one for the web. */
import type { Tensors } from './postprocess';

export interface Runner {
  /** For people: runtime, accelerator, threads. */
  readonly backend: string;
  /** Outputs by name for the one input tensor. */
  run(input: Float32Array): Promise<Tensors>;
  close(): void;
}

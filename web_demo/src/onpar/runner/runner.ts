/** What runs an artifact; {@link LiteRtRunner} is the one for the web. */
import type { Bundle } from '../bundle/bundle';
import type { NamedValues } from '../bundle/values';
import type { Tensors } from './outputs';

export interface Runner {
  /** For people: runtime, accelerator, threads. */
  readonly backend: string;
  /** Outputs by name for the one input tensor, float32. */
  run(input: Float32Array): Promise<Tensors>;
  /** Any inputs and outputs by name, in the network's own types. */
  runTensors(inputs: NamedValues): Promise<NamedValues>;
  close(): void;
}

/** Opens a runner for a bundle. */
export type LoadRunner = (bundle: Bundle) => Promise<Runner>;

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

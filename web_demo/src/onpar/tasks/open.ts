/** How tasks and pipelines open their bundles. */
import { Bundle, demand, type BundleSource } from '../bundle/bundle';
import { LiteRtRunner, type LiteRtOptions } from '../runner/litert_runner';
import type { LoadRunner, Runner } from '../runner/runner';

export interface TaskOptions extends LiteRtOptions {
  /** PEM of the public key that must have signed the bundle. */
  readonly trustedKey?: string;
}

/** Of a pipeline: the second network of the detector's cascade, which looks at each of its boxes. */
export interface JudgeOptions {
  readonly detectorRefined?: From | null;
}

/** A bundle, or where it is. */
export type From = string | URL | BundleSource | Bundle;

/** The bundle of a task, which must give its result, and what runs it. */
export async function open(from: From, result: string, options: TaskOptions): Promise<readonly [Bundle, Runner]> {
  const bundle = await openBundle(from, options);
  demand(bundle, result);
  void bundle.manifest.preprocess; // throws where the network takes no picture
  return [bundle, await LiteRtRunner.load(bundle, options)];
}

export async function openBundle(from: From, options: TaskOptions): Promise<Bundle> {
  return from instanceof Bundle ? from : Bundle.open(from, options.trustedKey);
}

export async function openJudge({
  detectorRefined = null,
  ...options
}: TaskOptions & JudgeOptions): Promise<Bundle | null> {
  return detectorRefined === null ? null : openBundle(detectorRefined, options);
}

/** The networks of a pipeline work one after the other, but each keeps its threads. */
export function loader(networks: number, options: TaskOptions): LoadRunner {
  const threads = 1 + Math.floor(globalThis.navigator.hardwareConcurrency / networks);
  return (bundle) => LiteRtRunner.load(bundle, { threads, ...options });
}

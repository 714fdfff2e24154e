/** Replays a bundle's proof on this device: raw golden input, own preprocessing, real model, the bundle's own limits. */
import type { Bundle } from '../bundle/bundle';
import { BackendUnavailable } from '../bundle/errors';
import type { GoldenCase, GoldenTensor } from '../bundle/manifest';
import { decodeDepthPng } from '../depth/depth_png';
import { preprocessDepth } from '../depth/depth_preprocess';
import { Picture } from '../image/pixels';
import { PicturePreprocessor } from '../image/preprocess';
import { LiteRtRunner, type LiteRtOptions } from '../runner/litert_runner';
import type { Runner } from '../runner/runner';
import { metric } from './metrics';

/** In units of the input, [0, 1]. */
export const PREPROCESS_LIMIT = 5e-5;

export interface SelfTestCheck {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
  readonly largerIsBetter: boolean;
  readonly passed: boolean;
}

export interface SelfTestReport {
  readonly bundle: string;
  readonly backend: string;
  readonly passed: boolean;
  readonly checks: readonly SelfTestCheck[];
}

export class GoldenSelfTest {
  /**
   * Compare preprocessing and outputs with the golden tensors.
   *
   * @param runner what runs the artifact; LiteRT.js unless given.
   */
  static async run(bundle: Bundle, options: LiteRtOptions = {}, runner?: Runner): Promise<SelfTestReport> {
    const used = runner ?? (await LiteRtRunner.load(bundle, options));
    try {
      const checks: SelfTestCheck[] = [];
      for (const golden of bundle.manifest.golden) checks.push(...(await replay(bundle, golden, used)));
      const worst = keepWorst(checks);
      return {
        bundle: bundle.manifest.id,
        backend: used.backend,
        passed: worst.every((check) => check.passed),
        checks: worst,
      };
    } finally {
      if (runner === undefined) used.close();
    }
  }
}

async function replay(bundle: Bundle, golden: GoldenCase, runner: Runner): Promise<SelfTestCheck[]> {
  const artifact = bundle.artifact('litert');
  const input = artifact?.inputs[0];
  if (artifact === undefined || input === undefined)
    throw new BackendUnavailable(`${bundle.name} holds no .tflite file`);
  const stored = new Map(golden.tensors.map((tensor) => [tensor.name, tensor]));
  const expected = (name: string): [GoldenTensor, Float32Array] => {
    const tensor = stored.get(name)!;
    return [tensor, bundle.golden(tensor)];
  };
  const tensor = await preprocess(bundle, golden.raw);
  const [, goldenInput] = expected(input.name);
  const checks = [check('preprocessing', largestDifference(tensor, goldenInput), PREPROCESS_LIMIT, false)];
  const outputs = await runner.run(tensor);
  for (const { output, metric: name, limit } of bundle.manifest.limits.filter(
    (l) => l.runtime === artifact.executedHereBy,
  )) {
    const [entry, values] = expected(output);
    const actual = entry.stride === 1 ? outputs[output]! : outputs[output]!.filter((_, i) => i % entry.stride === 0);
    const { largerIsBetter, compute } = metric(name);
    checks.push(check(`${output}: ${name}`, compute(actual, values, entry.shape.at(-1)), limit, largerIsBetter));
  }
  return checks;
}

/** A raw golden file through this library's own preprocessing. */
export async function preprocess(bundle: Bundle, raw: string): Promise<Float32Array> {
  const spec = bundle.manifest.preprocess;
  const content = bundle.file(raw);
  if (spec.color === 'DEPTH') return preprocessDepth(await decodeDepthPng(content), spec).tensor;
  const preprocessor = new PicturePreprocessor(spec);
  preprocessor.run(await Picture.fromBlob(new Blob([content])));
  return preprocessor.tensor;
}

function check(name: string, value: number, limit: number, largerIsBetter: boolean): SelfTestCheck {
  return { name, value, limit, largerIsBetter, passed: largerIsBetter ? value >= limit : value <= limit };
}

function keepWorst(checks: readonly SelfTestCheck[]): SelfTestCheck[] {
  const worst = new Map<string, SelfTestCheck>();
  for (const item of checks) {
    const before = worst.get(item.name);
    if (before === undefined || item.value > before.value !== item.largerIsBetter) worst.set(item.name, item);
  }
  return [...worst.values()];
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity;
  return a.reduce((most, value, i) => (Number.isNaN(value) ? Infinity : Math.max(most, Math.abs(value - b[i]!))), 0);
}

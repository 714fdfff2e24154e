/** Replays a bundle's proof on this device: raw golden input, own preprocessing, real model, the bundle's own limits. */
import type { Bundle } from '../bundle/bundle';
import { BackendUnavailable } from '../bundle/errors';
import type { GoldenCase } from '../bundle/manifest';
import { toNumbers, type NamedValues, type Values } from '../bundle/values';
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
  if (artifact === undefined) throw new BackendUnavailable(`${bundle.name} holds no .tflite file`);
  const stored = new Map(golden.tensors.map((tensor) => [tensor.name, tensor]));
  const inputs: Record<string, Values> = {};
  for (const { name } of bundle.manifest.inputs) inputs[name] = bundle.golden(stored.get(name)!);
  const checks: SelfTestCheck[] = [];
  if (bundle.manifest.takesPicture) {
    const first = bundle.manifest.inputs[0]!.name;
    const tensor = await preprocess(bundle, golden.raw);
    checks.push(check('preprocessing', largestDifference(tensor, toNumbers(inputs[first]!)), PREPROCESS_LIMIT, false));
    inputs[first] = tensor;
  }
  const outputs = await runner.runTensors(inputs);
  return [...checks, ...compare(bundle, golden, artifact.executedHereBy, outputs)];
}

/** Outputs against the golden ones, by the limits that the runtime was proved with. */
function compare(bundle: Bundle, golden: GoldenCase, runtime: string, outputs: NamedValues): SelfTestCheck[] {
  return bundle.manifest.limits
    .filter((limit) => limit.runtime === runtime)
    .map(({ output, metric: name, limit }) => {
      const entry = golden.tensors.find((tensor) => tensor.name === output)!;
      const expected = toNumbers(bundle.golden(entry));
      const all = toNumbers(outputs[output]!);
      const actual = entry.stride === 1 ? all : all.filter((_, i) => i % entry.stride === 0);
      const { largerIsBetter, compute } = metric(name);
      const shape = entry.stride === 1 ? entry.shape : [expected.length];
      return check(`${output}: ${name}`, compute(actual, expected, shape), limit, largerIsBetter);
    });
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

function largestDifference(a: Float32Array, b: Float32Array | Float64Array): number {
  if (a.length !== b.length) return Infinity;
  return a.reduce((most, value, i) => (Number.isNaN(value) ? Infinity : Math.max(most, Math.abs(value - b[i]!))), 0);
}

/** What an artifact gave, and what a decoder may look at besides. */
import { BundleInvalid } from '../bundle/errors';
import type { Manifest } from '../bundle/manifest';
import type { Region } from '../image/region';

export type Tensors = Readonly<Record<string, Float32Array>>;

/** What a decoder may look at besides the tensors. */
export interface Context {
  readonly manifest: Manifest;
  readonly region: Region;
  readonly pictureWidth: number;
  readonly pictureHeight: number;
}

export function output(outputs: Tensors, name: string): Float32Array {
  const values = outputs[name];
  if (values === undefined) throw new BundleInvalid(`the artifact gave no output '${name}'; export the bundle again`);
  return values;
}

export function softmax(logits: Float32Array): Float32Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = logits.map((value) => Math.exp(value - largest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / total);
}

export function countAtLeast(values: Float32Array, threshold: number): number {
  let count = 0;
  for (let i = 0; i < values.length; i++) if (values[i]! >= threshold) count++;
  return count;
}

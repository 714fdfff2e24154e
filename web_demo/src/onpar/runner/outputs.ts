/** What an artifact gave, and what a decoder may look at besides. */
import { BundleInvalid } from '../bundle/errors';
import type { Manifest, TensorEntry } from '../bundle/manifest';
import type { NamedValues } from '../bundle/values';
import type { Region } from '../image/region';

/** Outputs as a decoder of pictures reads them: class numbers are floats, too. */
export type Tensors = Readonly<Record<string, Float32Array>>;

export function toFloats(outputs: NamedValues): Tensors {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, values]) => [
      name,
      values instanceof Float32Array ? values : Float32Array.from(values, Number),
    ]),
  );
}

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

/** An output by its place, with its shape, type and unit. */
export function entryOf({ id, modelFiles }: Manifest, place: number): TensorEntry {
  const entry = modelFiles[0]?.outputs[place];
  if (entry === undefined) throw new BundleInvalid(`${id} needs ${place + 1} outputs or more; export again`);
  return entry;
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

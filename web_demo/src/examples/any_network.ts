import { TensorModel } from '../onpar';

/** The example of docs/embed.md for networks that OnPar does not know. */
export async function runTensors(features: Float32Array, wasmPath: string, bundle: string): Promise<string> {
  // docs: begin
  const model = await TensorModel.fromBundle(bundle, { wasmPath });
  const { value } = await model.run({ features, words: BigInt64Array.of(7n) });
  const told = model.inputs.map(({ name, dtype }) => `${name} ${dtype}`);
  await model.close();
  return `[${told.join(', ')}] give ${value.scores!.length} scores`;
  // docs: end
}

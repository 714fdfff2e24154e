import { ImageClassifier, Picture } from '../onpar';

/** The example of docs/embed.md. */
export async function classify(
  file: Blob,
  wasmPath = 'wasm/',
  bundle = 'bundles/classifier-web-fp16',
): Promise<string> {
  // docs: begin
  const classifier = await ImageClassifier.fromBundle(bundle, { wasmPath });
  const { value, timings } = await classifier.detect(await Picture.fromBlob(file));
  await classifier.close();
  return `${value.label} ${(100 * value.score).toFixed(0)} %, ${timings.inferenceMs.toFixed(1)} ms`;
  // docs: end
}

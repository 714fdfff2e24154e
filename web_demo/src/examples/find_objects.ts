import { ObjectDetector, Picture } from '../onpar';

/** The example of docs/embed.md. */
export async function findObjects(file: Blob, wasmPath: string, bundle: string): Promise<string[]> {
  // docs: begin
  const detector = await ObjectDetector.fromBundle(bundle, { wasmPath });
  const { value } = await detector.detect(await Picture.fromBlob(file));
  await detector.close();
  return value.objects.map(
    ({ label, score, boxPx }) => `${label} ${(100 * score).toFixed(0)} %, from x ${boxPx[0].toFixed(0)}`,
  );
  // docs: end
}

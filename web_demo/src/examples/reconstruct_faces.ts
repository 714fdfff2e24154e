import { FaceReconstructor, Picture } from '../onpar';

/** The example of docs/embed.md. */
export async function reconstructFaces(
  file: Blob,
  wasmPath: string,
  detector: string,
  face3d: string,
): Promise<string[]> {
  const told: string[] = [];
  // docs: begin
  const reconstructor = await FaceReconstructor.fromBundles(detector, face3d, { wasmPath });
  const { value } = await reconstructor.detect(await Picture.fromBlob(file));
  for (const face of value)
    told.push(`${face.verticesPx.length / 3} vertices, turned by ${face.poseDegrees.yaw.toFixed(0)} degrees`);
  await reconstructor.close();
  // docs: end
  return told;
}

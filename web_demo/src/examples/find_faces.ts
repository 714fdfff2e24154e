import { FaceKeypointDetector, Picture } from '../onpar';

/** The example of docs/embed.md. */
export async function findFaces(
  frames: readonly Blob[],
  wasmPath: string,
  detector: string,
  keypoints: string,
): Promise<string[]> {
  const told: string[] = [];
  // docs: begin
  const faces = await FaceKeypointDetector.fromBundles(detector, keypoints, null, { wasmPath });
  for (const [i, frame] of frames.entries()) {
    const found = await faces.detectForVideo(await Picture.fromBlob(frame), 33 * i);
    for (const face of found?.value ?? []) told.push(`${face.pointsPx.length / 2} points, followed: ${face.tracked}`);
  }
  await faces.close();
  // docs: end
  return told;
}

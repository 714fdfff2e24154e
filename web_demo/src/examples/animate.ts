import { CharacterAnimator } from '../onpar';

/** The example of docs/embed.md on character files. */
export async function animate(file: string | Blob, timeMs: number): Promise<string> {
  // docs: begin
  const animator = await CharacterAnimator.fromFile(file);
  const vertices = animator.pose(timeMs);
  const { faces, uvs, texturePng } = animator.character;
  return `${vertices.length / 3} vertices, ${uvs.length / 2} uvs, ${faces.length / 3} triangles, ${texturePng.length} bytes`;
  // docs: end
}

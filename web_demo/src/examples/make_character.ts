/** The example of docs/embed.md: a drawing comes alive on this device. */
import { CharacterAnimator, CharacterMaker, Picture } from '../onpar';

export async function makeCharacter(
  file: Blob,
  sources: string,
  saliency: string | undefined,
  wasmPath: string,
): Promise<string> {
  // docs: begin
  const maker = await CharacterMaker.open(sources, { saliency, wasmPath });
  const { character, topology, facing } = await maker.make(await Picture.fromBlob(file));
  await maker.close();
  const vertices = new CharacterAnimator(character).pose(500);
  return `${topology}, ${facing}: ${character.jointNames.length} joints, ${vertices.length / 3} vertices`;
  // docs: end
}

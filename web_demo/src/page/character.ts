/** The page's part for character files: a sample or a file of the user, played and proved. */
import { CharacterAnimator, OnParError } from '../onpar';
import { Player } from './player';

const SAMPLE = 'characters/char1.character.safetensors';
const at = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const play = at<HTMLButtonElement>('character-play');
let player: Player | undefined;

async function open(source: string | Blob): Promise<void> {
  at('character-alert').hidden = true;
  try {
    const animator = await CharacterAnimator.fromFile(source);
    player?.stop();
    player = await Player.open(at<HTMLCanvasElement>('character-view'), animator);
    describe(animator);
    toggle();
  } catch (error) {
    at('character-alert').textContent =
      error instanceof OnParError ? `${error.name}: ${error.message}` : `The page failed: ${String(error)}`;
    at('character-alert').hidden = false;
    if (!(error instanceof OnParError)) throw error;
  }
}

function describe(animator: CharacterAnimator): void {
  const { vertexCount, faces, clips, goldenLimit } = animator.character;
  const report = animator.selfTest();
  const largest = Math.max(...report.checks.map((check) => check.value));
  const worst = largest === 0 ? '0' : largest.toExponential(1);
  const names = clips.map((clip) => clip.name).join(', ');
  at('character-about').textContent = `${names}: ${vertexCount} vertices, ${faces.length / 3} triangles.`;
  at('character-verdict').textContent = report.passed
    ? `Proved: golden poses within ${worst} of the figure's height (limit ${goldenLimit}).`
    : `Not proved: golden poses differ by ${worst} of the figure's height (limit ${goldenLimit}).`;
  at('character-verdict').className = report.passed ? 'good' : 'bad';
  at('character-view').hidden = false;
  play.hidden = false;
}

function toggle(): void {
  if (player?.playing) player.stop();
  else player?.play();
  play.textContent = player?.playing ? 'Stop' : 'Play';
}

export function listenForCharacters(): void {
  at('character-sample').addEventListener('click', () => void open(SAMPLE));
  play.addEventListener('click', toggle);
  at<HTMLInputElement>('character-file').addEventListener('change', (event) => {
    const chosen = event.target as HTMLInputElement;
    const file = chosen.files?.[0];
    if (file) void open(file);
    chosen.value = '';
  });
}

/** The page's part for drawings that move: made here, a sample, or a character file; played and, where it can be, proved. */
import {
  BundleNotFound,
  CharacterAnimator,
  CharacterMaker,
  OnParError,
  Picture,
  TOPOLOGIES,
  type Topology,
} from '../onpar';
import { Player } from './player';

const SAMPLE = 'characters/char1.character.safetensors';
const SOURCES = 'characters/app_sources.safetensors';
const at = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const play = at<HTMLButtonElement>('character-play');
const clip = at<HTMLSelectElement>('character-clip');
const kind = at<HTMLSelectElement>('drawing-topology');
let player: Player | undefined;
let maker: Promise<CharacterMaker> | undefined;
let drawing: Blob | undefined;

async function guarded(work: () => Promise<void>): Promise<void> {
  at('character-alert').hidden = true;
  try {
    await work();
  } catch (error) {
    at('character-about').textContent = '';
    at('character-alert').textContent =
      error instanceof OnParError ? `${error.name}: ${error.message}` : `The page failed: ${String(error)}`;
    at('character-alert').hidden = false;
    if (!(error instanceof OnParError)) throw error;
  }
}

async function openFile(source: string | Blob): Promise<void> {
  const animator = await CharacterAnimator.fromFile(source);
  await show(animator);
  prove(animator);
}

async function make(file: Blob): Promise<void> {
  drawing = file;
  // Where WebGL has no GPU, every frame that is played delays the work: the texture waited a second for its turn.
  player?.stop();
  play.textContent = 'Play';
  at('character-about').textContent = 'Making a character of it …';
  at('character-verdict').textContent = '';
  // The text is painted before the work begins.
  await new Promise((done) => setTimeout(done, 30));
  const began = performance.now();
  maker ??= openMaker();
  const opened = await maker.catch((error: unknown) => {
    maker = undefined;
    throw error;
  });
  const topology = TOPOLOGIES.find((name) => name === kind.value);
  const made = await opened.make(await Picture.fromBlob(file), { topology });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  await show(new CharacterAnimator(made.character));
  const sure = topology === undefined ? ` (${Math.round(100 * made.confidence)} % sure)` : '';
  const facing = made.facing === 'front' ? 'seen from the front' : `looking ${made.facing}`;
  at('character-about').textContent =
    `Made here in ${seconds} s: ${NAMES[made.topology]}${sure}, ${facing}, ${made.character.jointNames.length} joints. ` +
    made.notes.map((note) => `Note: ${note}.`).join(' ');
}

const NAMES: Readonly<Record<Topology, string>> = {
  two_feet: 'on two feet',
  four_feet: 'on four feet',
  winged: 'with wings',
  two_feet_tail: 'on two feet with a tail',
  no_feet: 'without feet',
  many_feet: 'on many feet',
};

/** With the bundles for saliency and class that lie beside the page. */
async function openMaker(): Promise<CharacterMaker> {
  const answer = await fetch('bundles/index.json').catch(() => undefined);
  const names = answer?.ok ? ((await answer.json()) as string[]) : [];
  const find = (model: string): string | undefined => {
    const name = names.find((other) => other.startsWith(`${model}-`));
    return name && `bundles/${name}`;
  };
  const bundles = { saliency: find('saliency'), classifier: find('classifier') };
  return CharacterMaker.open(SOURCES, bundles).catch((error: unknown) => {
    // Without a network the bundles may not be kept here; drawings on paper need none.
    if (error instanceof BundleNotFound) return CharacterMaker.open(SOURCES);
    throw error;
  });
}

async function show(animator: CharacterAnimator): Promise<void> {
  player?.stop();
  player = await Player.open(at<HTMLCanvasElement>('character-view'), animator);
  clip.replaceChildren(...animator.character.clips.map(({ name }) => new Option(name)));
  at('character-clip-label').hidden = animator.character.clips.length < 2;
  at('character-view').hidden = false;
  play.hidden = false;
  toggle();
}

function prove(animator: CharacterAnimator): void {
  const { vertexCount, faces, clips, goldenLimit } = animator.character;
  const report = animator.selfTest();
  const largest = Math.max(...report.checks.map((check) => check.value));
  const worst = largest === 0 ? '0' : largest.toExponential(1);
  const names = clips.map(({ name }) => name).join(', ');
  at('character-about').textContent = `${names}: ${vertexCount} vertices, ${faces.length / 3} triangles.`;
  at('character-verdict').textContent = report.passed
    ? `Proved: golden poses within ${worst} of the figure's height (limit ${goldenLimit}).`
    : `Not proved: golden poses differ by ${worst} of the figure's height (limit ${goldenLimit}).`;
  at('character-verdict').className = report.passed ? 'good' : 'bad';
}

function toggle(): void {
  if (player?.playing) player.stop();
  else player?.play();
  play.textContent = player?.playing ? 'Stop' : 'Play';
}

/** Hands over the chosen file, and lets the same file be chosen again. */
function onFile(id: string, use: (file: File) => void): void {
  at<HTMLInputElement>(id).addEventListener('change', (event) => {
    const chosen = event.target as HTMLInputElement;
    const file = chosen.files?.[0];
    if (file) use(file);
    chosen.value = '';
  });
}

export function listenForCharacters(): void {
  at('character-sample').addEventListener('click', () => void guarded(() => openFile(SAMPLE)));
  play.addEventListener('click', toggle);
  onFile('character-file', (file) => void guarded(() => openFile(file)));
  onFile('drawing-file', (file) => void guarded(() => make(file)));
  clip.addEventListener('change', () => player?.choose(clip.value));
  kind.append(...TOPOLOGIES.map((name) => new Option(NAMES[name], name)));
  kind.addEventListener('change', () => drawing && void guarded(() => make(drawing!)));
  const drop = at('drawing-drop');
  for (const name of ['dragover', 'dragleave', 'drop']) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle('over', name === 'dragover');
      const file = name === 'drop' ? (event as DragEvent).dataTransfer?.files[0] : undefined;
      if (file) void guarded(() => make(file));
    });
  }
}

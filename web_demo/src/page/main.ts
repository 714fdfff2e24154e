/** The page: chooses a bundle and an input, shows the result, its times and the proof. */
import {
  DepthMap,
  filesSource,
  GoldenSelfTest,
  OnParError,
  type BundleSource,
  type Detection,
  type SelfTestReport,
} from '../onpar';
import { Camera } from './camera';
import { listenForCharacters } from './character';
import { depthPicture } from './drawing';
import { Session, type Helpers, type Input } from './session';
import type { Solid } from './solid';

const TIMED_RUNS = 50;
const at = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const view = at<HTMLCanvasElement>('view');
const turn = at<HTMLInputElement>('turn');
const chooser = at<HTMLSelectElement>('bundle');

let session: Session | undefined;
let input: Input | undefined;
let camera: Camera | undefined;
let solid: Solid | undefined;

/** Errors of the library are said in the page; others are faults of the page and go on to the console. */
async function guarded(work: () => Promise<void>): Promise<void> {
  at('alert').hidden = true;
  try {
    await work();
  } catch (error) {
    at('alert').textContent =
      error instanceof OnParError ? `${error.name}: ${error.message}` : `The page failed: ${String(error)}`;
    at('alert').hidden = false;
    if (!(error instanceof OnParError)) throw error;
  }
}

async function openBundle(source: string | BundleSource): Promise<void> {
  stopCamera();
  at('verdict').textContent = '';
  at('checks').hidden = true;
  at('timed').textContent = '';
  at('backend').textContent = 'checking and loading';
  const before = session;
  session = undefined;
  await before?.close();
  session = await Session.open(source, helpers());
  describe(session);
  await showSamples(session);
}

/** Bundles beside the page that one for faces can use. */
function helpers(): Helpers {
  const names = Array.from(chooser.options, (option) => option.value);
  const find = (model: string): string | undefined => {
    const name = names.find((other) => other.startsWith(`${model}-`));
    return name && `bundles/${name}`;
  };
  return {
    detector: find('face_detector'),
    detectorRefined: find('face_detector_refined'),
    refined: find('template_keypoints_refined'),
  };
}

function describe({ bundle, takesDepth }: Session): void {
  const { manifest } = bundle;
  at('about').textContent = sentence(manifest.description.replace('^3', '³'));
  const [height, width] = manifest.preprocess.size;
  const file = bundle.artifact('litert');
  const bytes = file === undefined ? 0 : bundle.file(file.file).byteLength;
  facts({
    Bundle: manifest.id,
    Input: `${takesDepth ? 'depth map' : 'picture'}, ${width} × ${height}`,
    File: `${(bytes / 1e6).toFixed(2)} MB, checksums fit, ${bundle.signature}`,
    Weights: manifest.weightsLicense,
  });
  at('drop-text').textContent = takesDepth
    ? 'Drop a 16-bit depth PNG here, or choose a file. It stays in this browser.'
    : 'Drop a picture here, or choose a file. It stays in this browser.';
  at<HTMLInputElement>('file').accept = takesDepth ? 'image/png' : 'image/*';
  at<HTMLButtonElement>('camera').hidden = takesDepth;
  at('turn-label').hidden = true;
}

/** A text as a sentence; the name of a file, with which it may begin, stays as it is. */
function sentence(text: string): string {
  const begun = /^[a-z]+[ ,]/.test(text) ? `${text.charAt(0).toUpperCase()}${text.slice(1)}` : text;
  return begun.replace(/\.?$/, '.');
}

function facts(rows: Record<string, string>): void {
  at('model-facts').replaceChildren(
    ...Object.entries(rows).flatMap(([name, value]) => [element('dt', name), element('dd', value)]),
  );
}

async function showSamples(opened: Session): Promise<void> {
  const buttons = await Promise.all(
    opened.goldenInputs().map(async (blob, number) => {
      const sample = await opened.read(blob);
      const button = element('button', '');
      button.type = 'button';
      button.setAttribute('aria-label', `Golden input ${number + 1}`);
      button.append(thumbnail(sample));
      button.addEventListener('click', () => void guarded(() => use(sample, button)));
      return [button, sample] as const;
    }),
  );
  at('samples').replaceChildren(...buttons.map(([button]) => button));
  const first = buttons[0];
  if (first === undefined) return;
  await opened.detect(first[1]); // the first run is slower than all others, and nobody's measure
  await use(first[1], first[0]);
}

function thumbnail({ data, shown }: Input): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [data.width, data.height];
  canvas.getContext('2d')!.drawImage(data instanceof DepthMap ? depthPicture(data) : shown, 0, 0);
  return canvas;
}

/** Run the model on an input and show the result. */
async function use(chosen: Input, button?: HTMLButtonElement): Promise<void> {
  stopCamera();
  for (const other of at('samples').children) other.setAttribute('aria-pressed', String(other === button));
  if (session === undefined) return;
  input = chosen;
  show(session, await session.detect(chosen), chosen);
}

function show(opened: Session, detection: Detection<unknown>, shownInput: Input): void {
  const shown = opened.show(detection, view, shownInput);
  solid = shown.solid;
  solid?.draw(view, Number(turn.value));
  at('turn-label').hidden = solid === undefined;
  setText(at('summary'), shown.summary);
  view.setAttribute('aria-label', shown.summary);
  at('scores').replaceChildren(...shown.scores.slice(0, 5).map(scoreRow));
  at('backend').textContent = detection.backend;
  const { preMs, inferenceMs, postMs } = detection.timings;
  const cells = at('timings').querySelectorAll('td');
  [preMs, inferenceMs, postMs].forEach((value, i) => (cells[i]!.textContent = `${value.toFixed(1)} ms`));
}

function scoreRow({ label, score }: { label: string; score: number }): HTMLLIElement {
  const row = element('li', '');
  const bar = element('span', '');
  bar.className = 'bar';
  bar.append(element('i', ''));
  (bar.firstChild as HTMLElement).style.width = `${(100 * score).toFixed(1)}%`;
  row.append(element('span', label), bar, element('output', `${(100 * score).toFixed(0)} %`));
  return row;
}

async function toggleCamera(): Promise<void> {
  if (camera !== undefined) return stopCamera();
  if (session === undefined) return;
  const opened = session;
  camera = await Camera.open();
  at('camera').setAttribute('aria-pressed', 'true');
  at('camera').textContent = 'Stop the camera';
  for (const other of at('samples').children) other.setAttribute('aria-pressed', 'false');
  await camera.frames(async (frame, timestampMs) => {
    const detection = await opened.detectForVideo(frame, timestampMs);
    if (detection === null || camera === undefined) return;
    input = frame;
    show(opened, detection, frame);
  });
}

function stopCamera(): void {
  camera?.close();
  camera = undefined;
  at('camera').setAttribute('aria-pressed', 'false');
  at('camera').textContent = 'Start the camera';
}

async function runSelfTest(): Promise<void> {
  if (session === undefined) return;
  at('verdict').textContent = 'running';
  at('verdict').className = '';
  const report = await GoldenSelfTest.run(session.bundle, { accelerator: 'auto' });
  at('verdict').textContent = report.passed
    ? `Proved: ${report.bundle} gives the reference's results here (${report.backend}).`
    : `Not proved: ${report.bundle} differs from the reference here (${report.backend}).`;
  at('verdict').className = report.passed ? 'good' : 'bad';
  showChecks(report);
}

function showChecks({ checks }: SelfTestReport): void {
  at('checks')
    .querySelector('tbody')!
    .replaceChildren(
      ...checks.map((check) => {
        const row = element('tr', '');
        const sign = check.largerIsBetter ? '≥' : '≤';
        const verdict = element('td', check.passed ? 'passed' : 'failed');
        verdict.className = check.passed ? 'good' : 'bad';
        row.append(
          // In words, which break where a phone is narrow.
          element('td', check.name.replaceAll('_', ' ')),
          element('td', figure(check.value)),
          element('td', `${sign} ${figure(check.limit)}`),
          verdict,
        );
        return row;
      }),
    );
  at('checks').hidden = false;
}

function figure(value: number): string {
  return Math.abs(value) >= 1e-3 || value === 0 ? String(Number(value.toPrecision(4))) : value.toExponential(1);
}

async function timeRuns(): Promise<void> {
  if (session === undefined || input === undefined) return;
  stopCamera();
  const [opened, chosen, samples] = [session, input, [] as number[]];
  for (let run = 0; run < TIMED_RUNS; run++) {
    const { timings } = await opened.detect(chosen);
    samples.push(timings.preMs + timings.inferenceMs + timings.postMs);
    if (run % 10 === 9) setText(at('timed'), `${run + 1} of ${TIMED_RUNS} runs`);
  }
  samples.sort((a, b) => a - b);
  const quantile = (q: number): string => samples[Math.floor(q * (TIMED_RUNS - 1))]!.toFixed(1);
  setText(
    at('timed'),
    `${TIMED_RUNS} runs in this browser: median ${quantile(0.5)} ms, 90 % below ${quantile(0.9)} ms, all steps.`,
  );
}

function element<K extends keyof HTMLElementTagNameMap>(name: K, text: string): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** A screen reader repeats what is set, even if it stays the same. */
function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

function useFile(file: File | null | undefined): void {
  if (!file || session === undefined) return;
  const opened = session;
  void guarded(async () => use(await opened.read(file, true)));
}

function listen(): void {
  chooser.addEventListener('change', () => void guarded(() => openBundle(`bundles/${chooser.value}`)));
  at<HTMLInputElement>('folder').addEventListener('change', (event) => {
    const { files } = event.target as HTMLInputElement;
    if (files?.length) void guarded(() => openBundle(filesSource(files)));
  });
  at<HTMLInputElement>('file').addEventListener('change', (event) => {
    const chosen = event.target as HTMLInputElement;
    useFile(chosen.files?.[0]);
    chosen.value = '';
  });
  const drop = at('drop');
  for (const name of ['dragover', 'dragleave', 'drop']) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle('over', name === 'dragover');
      if (name === 'drop') useFile((event as DragEvent).dataTransfer?.files[0]);
    });
  }
  at('camera').addEventListener('click', () => void guarded(toggleCamera));
  at('self-test').addEventListener('click', () => void busy('self-test', runSelfTest));
  at('time').addEventListener('click', () => void busy('time', timeRuns));
  turn.addEventListener('input', () => solid?.draw(view, Number(turn.value)));
  view.addEventListener('pointermove', (event) => {
    if (solid === undefined || event.buttons === 0) return;
    turn.value = String(Number(turn.value) + event.movementX / 2);
    solid.draw(view, Number(turn.value));
  });
}

async function busy(id: string, work: () => Promise<void>): Promise<void> {
  at<HTMLButtonElement>(id).disabled = true;
  await guarded(work).finally(() => (at<HTMLButtonElement>(id).disabled = false));
}

/** Once a worker keeps what was loaded, the page works without a network. */
async function keepForOffline(): Promise<void> {
  if (!('serviceWorker' in navigator)) return;
  const { active } = await navigator.serviceWorker.register('sw.js').then(() => navigator.serviceWorker.ready);
  navigator.serviceWorker.addEventListener('message', () => (at('offline').hidden = false));
  const loaded = performance.getEntriesByType('resource').map((entry) => entry.name);
  // The worker gives the page threads from the next load on, which need another build of the runtime.
  const threaded = ['js', 'wasm'].map(
    (kind) => new URL(`wasm/litert_wasm_threaded_internal.${kind}`, location.href).href,
  );
  const motions = new URL('characters/app_sources.safetensors', location.href).href;
  const wanted = new Set([location.href, ...loaded, ...threaded, motions]);
  active?.postMessage([...wanted].filter((address) => address.startsWith(location.origin)));
}

async function start(): Promise<void> {
  listen();
  listenForCharacters();
  await guarded(async () => {
    const answer = await fetch('bundles/index.json').catch(() => undefined);
    const names = answer?.ok ? ((await answer.json()) as string[]) : [];
    chooser.replaceChildren(...names.map((name) => element('option', name)));
    const wanted = new URLSearchParams(location.search).get('bundle');
    if (wanted !== null && names.includes(wanted)) chooser.value = wanted;
    if (names.length > 0) await openBundle(`bundles/${chooser.value}`);
    else
      at('about').textContent =
        'No bundle lies beside this page: open a folder that sdk_build.export --target web wrote.';
  });
  await keepForOffline();
}

void start();

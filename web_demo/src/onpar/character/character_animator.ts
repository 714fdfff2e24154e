/** Moves a drawing: the vertices of a character file at a time. */
import { BadInput, BundleNotFound } from '../bundle/errors';
import type { SelfTestCheck, SelfTestReport } from '../proof/golden_self_test';
import { parseCharacter, type CharacterClip, type CharacterFile } from './character_file';

const MATRIX = 12;

/** Every call fills and returns the same V x 3 array, which is valid until the next call. */
export class CharacterAnimator {
  readonly #posed: Float32Array;
  #lastTimestampMs = -Infinity;

  constructor(readonly character: CharacterFile) {
    this.#posed = new Float32Array(3 * character.vertexCount);
  }

  /** Open a file that reference.animate wrote: its address, or a file that the user chose. */
  static async fromFile(source: string | URL | Blob): Promise<CharacterAnimator> {
    const name = source instanceof Blob ? blobName(source) : (String(source).split('/').at(-1) ?? String(source));
    const found = source instanceof Blob ? source : await fetch(source).catch(() => null);
    // A server that answers every unknown address with its start page has no such file either.
    const page = found instanceof Response && found.headers.get('content-type')?.startsWith('text/html');
    if (found === null || page || (found instanceof Response && !found.ok))
      throw new BundleNotFound(`no character file ${name}; give one that reference.animate wrote`);
    return CharacterAnimator.fromBytes(new Uint8Array(await found.arrayBuffer()), name);
  }

  static async fromBytes(content: Uint8Array<ArrayBuffer>, name = 'character'): Promise<CharacterAnimator> {
    return new CharacterAnimator(await parseCharacter(content, name));
  }

  /**
   * Image mode: the vertices at any time; a clip repeats before its begin and after its end.
   *
   * @param timeMs since the clip's begin.
   * @param clip a name of `character.clips`; the first without one.
   */
  pose(timeMs: number, clip?: string): Float32Array {
    const found = this.#find(clip);
    skin(this.character, found, frameOf(found, timeMs), this.#posed);
    return this.#posed;
  }

  /** Video mode: null for a time that is not newer than the last. */
  poseForVideo(timestampMs: number, clip?: string): Float32Array | null {
    if (timestampMs <= this.#lastTimestampMs) return null;
    const vertices = this.pose(timestampMs, clip);
    this.#lastTimestampMs = timestampMs;
    return vertices;
  }

  /** The frame that a time belongs to. */
  frameAt(timeMs: number, clip?: string): number {
    return frameOf(this.#find(clip), timeMs);
  }

  /** Poses the golden frames of every clip and compares them with the file's golden vertices. */
  selfTest(): SelfTestReport {
    const limit = this.character.goldenLimit;
    const checks = this.character.clips.map((clip): SelfTestCheck => {
      const value = goldenError(this.character, clip);
      return { name: `${clip.name}: largest distance`, value, limit, largerIsBetter: false, passed: value <= limit };
    });
    return { bundle: this.character.name, backend: 'CPU', passed: checks.every((check) => check.passed), checks };
  }

  #find(name?: string): CharacterClip {
    const { clips } = this.character;
    for (const clip of clips) if (name === undefined || clip.name === name) return clip;
    const allowed = clips.map((clip) => clip.name).join(', ');
    throw new BadInput(`${this.character.name} has no clip '${name}'; allowed: ${allowed}`);
  }
}

function blobName(blob: Blob): string {
  return blob instanceof File ? blob.name : 'character';
}

function frameOf(clip: CharacterClip, timeMs: number): number {
  const frame = Math.floor((timeMs * clip.frameRate) / 1000);
  if (!Number.isFinite(frame)) throw new BadInput(`the time is ${timeMs} ms; allowed: a finite number`);
  return ((frame % clip.frames) + clip.frames) % clip.frames;
}

function goldenError(character: CharacterFile, clip: CharacterClip): number {
  const out = new Float32Array(3 * character.vertexCount);
  let worst = 0;
  clip.goldenFrames.forEach((golden, k) => {
    // By the time in the middle of the frame, as an app asks.
    skin(character, clip, frameOf(clip, ((golden + 0.5) * 1000) / clip.frameRate), out);
    for (let i = 0; i < out.length; i++) {
      const distance = Math.abs(out[i]! - clip.goldenVertices[k * out.length + i]!);
      worst = Number.isNaN(distance) ? Infinity : Math.max(worst, distance);
    }
  });
  return worst;
}

/** posed[v] = sum of weight * (matrix * (vertex, 1)) over the four joints of v. */
function skin(character: CharacterFile, clip: CharacterClip, frame: number, out: Float32Array): void {
  const { vertices, joints, weights, jointNames, vertexCount } = character;
  const { matrices: m } = clip;
  const first = frame * jointNames.length * MATRIX;
  for (let v = 0; v < vertexCount; v++) {
    const [x, y, z] = [vertices[3 * v]!, vertices[3 * v + 1]!, vertices[3 * v + 2]!];
    let [px, py, pz] = [0, 0, 0];
    for (let i = 4 * v; i < 4 * v + 4; i++) {
      const weight = weights[i]!;
      const at = first + MATRIX * joints[i]!;
      px += weight * (m[at]! * x + m[at + 1]! * y + m[at + 2]! * z + m[at + 3]!);
      py += weight * (m[at + 4]! * x + m[at + 5]! * y + m[at + 6]! * z + m[at + 7]!);
      pz += weight * (m[at + 8]! * x + m[at + 9]! * y + m[at + 10]! * z + m[at + 11]!);
    }
    out[3 * v] = px;
    out[3 * v + 1] = py;
    out[3 * v + 2] = pz;
  }
}

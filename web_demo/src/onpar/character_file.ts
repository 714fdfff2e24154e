/** Character files (docs/character.md): read and checked, and only then used. */
import { BundleInvalid, ChecksumMismatch } from './errors';
import { sha256 } from './signature';

/** A movement: `frames` matrices per joint, `frameRate` of them a second; it repeats. */
export interface CharacterClip {
  readonly name: string;
  readonly frameRate: number;
  readonly frames: number;
  readonly matrices: Float32Array;
  readonly goldenFrames: Int32Array;
  readonly goldenVertices: Float32Array;
}

/** V vertices, M triangles, J joints. */
export interface CharacterFile {
  readonly name: string;
  readonly jointNames: readonly string[];
  readonly vertexCount: number;
  /** V x 3: the rest pose, one figure tall. */
  readonly vertices: Float32Array;
  /** V x 2: place in the texture; (0, 0) is its top left corner. */
  readonly uvs: Float32Array;
  /** M x 3 numbers of vertices. */
  readonly faces: Uint16Array | Uint32Array;
  /** V x 4 each: the joints that a vertex follows, and how far. */
  readonly joints: Uint8Array;
  readonly weights: Float32Array;
  /** The drawing, a PNG file. */
  readonly texturePng: Uint8Array<ArrayBuffer>;
  /** Per joint the joint above it, -1 for the root; with `restPositions` (J x 3), for showing the skeleton. */
  readonly parents: Int32Array;
  readonly restPositions: Float32Array;
  readonly clips: readonly CharacterClip[];
  /** Largest deviation from the golden vertices, in figure heights. */
  readonly goldenLimit: number;
}

const FORMAT = 'onpar.character 1';
// A limit that any skinning keeps would prove nothing.
const LARGEST_LIMIT = 1e-4;
const ARRAYS = { U8: Uint8Array, U16: Uint16Array, U32: Uint32Array, I32: Int32Array, F32: Float32Array } as const;
type Type = keyof typeof ARRAYS;
type Values<T extends Type> = InstanceType<(typeof ARRAYS)[T]>;

/** Read a file's bytes and check format, version, SHA-256 and every tensor. */
export async function parseCharacter(content: Uint8Array<ArrayBuffer>, name = 'character'): Promise<CharacterFile> {
  const tensors = await SafeTensors.parse(content, name);
  const jointNames = tensors.list('joint_names').map(String);
  const joint = jointNames.length;
  const vertexCount = tensors.length('vertices');
  if (vertexCount < 1 || joint < 1) throw tensors.damaged('no vertices or joints');
  const faces = tensors.values('faces', ['U16', 'U32'], [tensors.length('faces'), 3]);
  const goldenLimit = Number(tensors.metadata.golden_limit);
  if (!(goldenLimit > 0 && goldenLimit <= LARGEST_LIMIT))
    throw tensors.damaged(`golden_limit is ${goldenLimit}; allowed: up to ${LARGEST_LIMIT}`);
  const clips = tensors.list('clips').map((entry) => toClip(entry, tensors, joint, vertexCount));
  if (clips.length === 0 || new Set(clips.map((clip) => clip.name)).size < clips.length)
    throw tensors.damaged('no clips, or two of one name');
  return {
    name,
    jointNames,
    vertexCount,
    vertices: tensors.floats('vertices', [vertexCount, 3]),
    uvs: tensors.floats('uvs', [vertexCount, 2]),
    faces: tensors.indices('faces', faces, 0, vertexCount),
    joints: tensors.indices('joints', tensors.values('joints', ['U8'], [vertexCount, 4]), 0, joint),
    weights: checkWeights(tensors.floats('weights', [vertexCount, 4]), tensors),
    texturePng: tensors.values('texture_png', ['U8'], [tensors.length('texture_png')]),
    parents: tensors.indices('parents', tensors.values('parents', ['I32'], [joint]), -1, joint),
    restPositions: tensors.floats('rest_positions', [joint, 3]),
    clips,
    goldenLimit,
  };
}

function toClip(entry: unknown, tensors: SafeTensors, joint: number, vertexCount: number): CharacterClip {
  const { name, frame_rate: frameRate, frames } = (entry ?? {}) as Record<string, unknown>;
  const numbers = typeof frameRate === 'number' && frameRate > 0 && typeof frames === 'number' && frames >= 1;
  if (typeof name !== 'string' || !numbers) throw tensors.damaged('a clip lacks name, frame_rate or frames');
  const count = tensors.length(`golden.${name}.frames`);
  if (count < 1) throw tensors.damaged(`clip ${name} has no golden frames`);
  const golden = tensors.values(`golden.${name}.frames`, ['I32'], [count]);
  return {
    name,
    frameRate,
    frames,
    matrices: tensors.floats(`clip.${name}.matrices`, [frames, joint, 3, 4]),
    goldenFrames: tensors.indices('golden frames', golden, 0, frames),
    goldenVertices: tensors.floats(`golden.${name}.vertices`, [count, vertexCount, 3]),
  };
}

function checkWeights(weights: Float32Array, tensors: SafeTensors): Float32Array {
  for (let at = 0; at < weights.length; at += 4) {
    const sum = weights[at]! + weights[at + 1]! + weights[at + 2]! + weights[at + 3]!;
    if (Math.abs(sum - 1) > 1e-3) throw tensors.damaged(`the weights of vertex ${at / 4} sum to ${sum}; allowed: 1`);
  }
  return weights;
}

interface Entry {
  readonly dtype?: unknown;
  readonly shape?: unknown;
  readonly data_offsets?: unknown;
}

/** The tensors of a safetensors file whose format and SHA-256 were checked. */
class SafeTensors {
  private constructor(
    readonly name: string,
    readonly metadata: Readonly<Record<string, unknown>>,
    private readonly header: Readonly<Record<string, Entry>>,
    private readonly data: Uint8Array<ArrayBuffer>,
  ) {}

  static async parse(content: Uint8Array<ArrayBuffer>, name: string): Promise<SafeTensors> {
    const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
    const length = content.byteLength < 8 ? 0 : Number(view.getBigUint64(0, true));
    if (length < 2 || length > content.byteLength - 8) {
      throw new BundleInvalid(
        `${name} is no character file or is cut: ${content.byteLength} bytes; give one that reference.animate wrote`,
      );
    }
    const header = readHeader(content.subarray(8, 8 + length), name);
    const metadata = (header.__metadata__ ?? {}) as Record<string, unknown>;
    const found = `${String(metadata.format)} ${String(metadata.format_version)}`;
    if (found !== FORMAT) {
      throw new BundleInvalid(`${name} has format ${found}; allowed: ${FORMAT}; update onpar or write the file again`);
    }
    // A copy: the arrays over it must begin at multiples of their element size.
    const data = content.slice(8 + length);
    if ((await sha256(data)) !== metadata.sha256)
      throw new ChecksumMismatch(`${name} is cut or differs from its sha256; get the file again`);
    return new SafeTensors(name, metadata, header, data);
  }

  damaged(what: string): BundleInvalid {
    return new BundleInvalid(`${this.name}: ${what}; write it again with reference.animate`);
  }

  list(key: string): unknown[] {
    try {
      const list: unknown = JSON.parse(String(this.metadata[key]));
      if (Array.isArray(list)) return list;
    } catch {
      // Said below, in the words that fit both.
    }
    throw this.damaged(`'${key}' is no list`);
  }

  /** A tensor's first dimension. */
  length(tensor: string): number {
    const { shape } = this.#entry(tensor);
    return Array.isArray(shape) ? Number(shape[0]) : 0;
  }

  /** A tensor over the file's own memory; its type and shape must be the expected ones. */
  values<T extends Type>(tensor: string, types: readonly T[], wanted: readonly number[]): Values<T> {
    const { dtype, shape, data_offsets: offsets } = this.#entry(tensor);
    const type = types.find((allowed) => allowed === dtype);
    if (type === undefined || String(shape) !== String(wanted)) {
      throw this.damaged(`'${tensor}' is ${String(dtype)} [${String(shape)}]; allowed: ${types.join()} [${wanted}]`);
    }
    const [begin, end] = (Array.isArray(offsets) ? offsets : []) as unknown[];
    const width = ARRAYS[type].BYTES_PER_ELEMENT;
    const size = wanted.reduce((a, b) => a * b, 1);
    const fits = typeof begin === 'number' && begin >= 0 && begin % width === 0 && end === begin + size * width;
    if (!fits || begin + size * width > this.data.byteLength) throw this.damaged(`'${tensor}' lies outside the file`);
    return new ARRAYS[type](this.data.buffer, begin, size) as Values<T>;
  }

  floats(tensor: string, shape: readonly number[]): Float32Array {
    const values = this.values(tensor, ['F32'], shape);
    if (!values.every(Number.isFinite)) throw this.damaged(`'${tensor}' holds values that are no numbers`);
    return values;
  }

  indices<A extends Uint8Array | Uint16Array | Uint32Array | Int32Array>(
    what: string,
    values: A,
    first: number,
    end: number,
  ): A {
    for (const value of values) {
      if (value < first || value >= end) throw this.damaged(`${what} names ${value}; allowed: ${first} to ${end - 1}`);
    }
    return values;
  }

  #entry(tensor: string): Entry {
    const entry = this.header[tensor];
    if (typeof entry !== 'object' || entry === null) throw this.damaged(`no tensor '${tensor}'`);
    return entry;
  }
}

function readHeader(content: Uint8Array, name: string): Record<string, Entry> {
  try {
    const header: unknown = JSON.parse(new TextDecoder().decode(content));
    if (typeof header === 'object' && header !== null) return header as Record<string, Entry>;
  } catch {
    // Said below, in the words that fit both.
  }
  throw new BundleInvalid(`${name} has a damaged header; write it again with reference.animate`);
}

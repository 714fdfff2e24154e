/** Character files (docs/character.md): read and checked, and only then used. */
import { BundleInvalid, ChecksumMismatch } from '../bundle/errors';
import { SafeTensors } from '../bundle/safetensors';
import { sha256 } from '../bundle/signature';

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

/** Read a file's bytes and check format, version, SHA-256 and every tensor. */
export async function parseCharacter(content: Uint8Array<ArrayBuffer>, name = 'character'): Promise<CharacterFile> {
  const tensors = new SafeTensors(content, name, 'character file', 'write it again with reference.animate');
  const found = `${String(tensors.metadata.format)} ${String(tensors.metadata.format_version)}`;
  if (found !== FORMAT) {
    throw new BundleInvalid(`${name} has format ${found}; allowed: ${FORMAT}; update onpar or write the file again`);
  }
  if ((await sha256(tensors.data)) !== tensors.metadata.sha256)
    throw new ChecksumMismatch(`${name} is cut or differs from its sha256; get the file again`);
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

/** What characters move like: source skeletons with their clips, label maps and weights, from one file. */
import { BadInput, BundleInvalid, BundleNotFound, ChecksumMismatch } from '../bundle/errors';
import { SafeTensors } from '../bundle/safetensors';
import { sha256 } from '../bundle/signature';
import { fromQuaternion, type Vector } from './matrices';
import { Skeleton, type Clip } from './skeleton';

export const TOPOLOGIES = ['two_feet', 'four_feet', 'winged', 'two_feet_tail', 'no_feet', 'many_feet'] as const;
export type Topology = (typeof TOPOLOGIES)[number];

/** A source: its skeleton, which of its joints are feet, and which ends are thick (head) or thin (tail) in a drawing. */
export interface Source {
  readonly name: string;
  readonly topology: Topology;
  readonly skeleton: Skeleton;
  readonly feet: readonly number[];
  readonly thick: readonly number[];
  readonly thin: readonly number[];
  readonly clipNames: readonly string[];
}

/** A logistic regression over named evidence. */
export interface Weights {
  readonly topologies: readonly Topology[];
  readonly names: readonly string[];
  readonly mean: readonly number[];
  readonly scale: readonly number[];
  readonly matrix: readonly (readonly number[])[];
  readonly bias: readonly number[];
}

export interface Labels {
  readonly topology: Readonly<Record<Topology, readonly string[]>>;
  readonly dataset: Readonly<Record<string, string>>;
}

interface Entry {
  readonly name: string;
  readonly topology: Topology;
  readonly joints: string[];
  readonly parents: number[];
  readonly feet: number[];
  readonly thick: number[];
  readonly thin: number[];
  readonly clips: { readonly name: string; readonly frame_rate: number; readonly frames: number }[];
}

const FORMAT = 'onpar.sources 1';

export class Sources {
  readonly figures: ReadonlyMap<string, Source>;
  readonly labels: Labels;
  readonly weights: { readonly with_class: Weights; readonly without_class: Weights };

  private constructor(
    private readonly tensors: SafeTensors,
    private readonly entries: readonly Entry[],
  ) {
    this.figures = new Map(entries.map((entry) => [entry.name, this.#figure(entry)]));
    this.labels = JSON.parse(String(tensors.metadata.labels)) as Labels;
    this.weights = JSON.parse(String(tensors.metadata.weights)) as Sources['weights'];
  }

  /** Open the file that lies at an address, models/motions/app_sources.safetensors. */
  static async fromFile(address: string | URL): Promise<Sources> {
    const answer = await fetch(address).catch(() => null);
    if (!answer?.ok || answer.headers.get('content-type')?.startsWith('text/html'))
      throw new BundleNotFound(`no motions at ${String(address)}; put app_sources.safetensors of models/motions there`);
    return Sources.fromBytes(new Uint8Array(await answer.arrayBuffer()));
  }

  static async fromBytes(content: Uint8Array<ArrayBuffer>): Promise<Sources> {
    const advice = 'write it again with reference.animation.pack';
    const tensors = new SafeTensors(content, 'app_sources.safetensors', 'file of motions', advice);
    const found = `${String(tensors.metadata.format)} ${String(tensors.metadata.format_version)}`;
    if (found !== FORMAT) throw new BundleInvalid(`the motions have format ${found}; allowed: ${FORMAT}; ${advice}`);
    if ((await sha256(tensors.data)) !== tensors.metadata.sha256)
      throw new ChecksumMismatch('the motions are cut or differ from their sha256; get the file again');
    return new Sources(tensors, tensors.list('figures') as Entry[]);
  }

  figure(name: string): Source {
    const found = this.figures.get(name);
    if (found === undefined) throw new BadInput(`no source '${name}'; allowed: ${[...this.figures.keys()].join(', ')}`);
    return found;
  }

  clip(source: Source, name: string): Clip {
    const entry = this.entries.find((other) => other.name === source.name)!;
    const described = entry.clips.find((other) => other.name === name);
    if (described === undefined)
      throw new BadInput(`'${source.name}' has no motion '${name}'; it has: ${source.clipNames.join(', ')}`);
    const [frames, joints] = [described.frames, entry.joints.length];
    const key = `${source.name}.${name}`;
    const turns = this.tensors.values(`${key}.rotations`, ['U16'], [frames, joints, 4]);
    const ways = this.tensors.values(`${key}.translations`, ['F32'], [frames, 3]);
    const part = (i: number): number => (turns[i]! / 65535) * 2 - 1;
    const rotations = Array.from({ length: frames }, (_, frame) =>
      Array.from({ length: joints }, (_, joint) => {
        const i = 4 * (frame * joints + joint);
        return fromQuaternion(part(i), part(i + 1), part(i + 2), part(i + 3));
      }),
    );
    return { name, frameRate: described.frame_rate, rotations, translations: vectorsOf(ways) };
  }

  #figure(entry: Entry): Source {
    const places = this.tensors.values(`${entry.name}.positions`, ['F32'], [entry.joints.length, 3]);
    const { name, topology, feet, thick, thin } = entry;
    const skeleton = new Skeleton(entry.joints, entry.parents, vectorsOf(places));
    return { name, topology, skeleton, feet, thick, thin, clipNames: entry.clips.map((clip) => clip.name) };
  }
}

function vectorsOf(values: Float32Array): Vector[] {
  return Array.from({ length: values.length / 3 }, (_, i) => [values[3 * i]!, values[3 * i + 1]!, values[3 * i + 2]!]);
}

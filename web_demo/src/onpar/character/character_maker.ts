/** Makes characters: a drawing in, a figure that moves out, on this device. */
import { BadInput } from '../bundle/errors';
import { Picture } from '../image/pixels';
import { ImageClassifier } from '../tasks/image_classifier';
import type { From, TaskOptions } from '../tasks/open';
import { SaliencySegmenter } from '../tasks/saliency_segmenter';
import { animate, toMatrices } from './animate';
import type { CharacterFile } from './character_file';
import { findFigure, type Figure, type MaskOrigin, type Saliency } from './figure';
import type { Raster } from './resampling';
import { facingOf, rigFigure, type Facing } from './rig';
import { Sources, TOPOLOGIES, type Topology } from './sources';
import { textureOf } from './texture';
import { choose } from './topology';

export interface MakerOptions extends TaskOptions {
  /** A `saliency` bundle, for pictures that aren't on paper and for drawings with pale parts. */
  readonly saliency?: From;
  /** A `classifier` bundle, one more piece of evidence on what a figure moves on. */
  readonly classifier?: From;
}

export interface MakeOptions {
  /** What the figure moves on; predicted by default. */
  readonly topology?: Topology;
  /** Names of clips of the source; all by default. */
  readonly clips?: readonly string[];
}

export interface MadeCharacter {
  readonly character: CharacterFile;
  readonly topology: Topology;
  /** Probability of the topology, 0 to 1; 1 where the caller named it. */
  readonly confidence: number;
  readonly facing: Facing;
  /** Name of the source in models/motions. */
  readonly source: string;
  readonly maskFrom: MaskOrigin;
  /** What a user should know. */
  readonly notes: readonly string[];
  readonly timings: { readonly figureMs: number; readonly rigMs: number; readonly motionMs: number };
}

export class CharacterMaker {
  #closed = false;

  private constructor(
    readonly sources: Sources,
    private readonly segmenter: SaliencySegmenter | null,
    private readonly classifier: ImageClassifier | null,
  ) {}

  /** @param sources address of models/motions/app_sources.safetensors, or the opened file. */
  static async open(sources: string | URL | Sources, options: MakerOptions = {}): Promise<CharacterMaker> {
    const { saliency, classifier, ...rest } = options;
    const opened = sources instanceof Sources ? sources : await Sources.fromFile(sources);
    const segmenter = saliency === undefined ? null : await SaliencySegmenter.fromBundle(saliency, rest);
    try {
      return new CharacterMaker(
        opened,
        segmenter,
        classifier === undefined ? null : await ImageClassifier.fromBundle(classifier, rest),
      );
    } catch (error) {
      await segmenter?.close();
      throw error;
    }
  }

  /** Find the figure in a picture, rig it, and carry the clips of a fitting source over to it. */
  async make(picture: Picture, { topology, clips }: MakeOptions = {}): Promise<MadeCharacter> {
    if (this.#closed) throw new BadInput('the maker is closed; open another');
    if (topology !== undefined && !TOPOLOGIES.includes(topology))
      throw new BadInput(`topology is '${topology}'; allowed: ${TOPOLOGIES.join(', ')}`);
    const times = [performance.now()];
    const figure = await findFigure(picture, this.#saliency());
    times.push(performance.now());
    const rig = rigFigure(figure.mask);
    const choice = choose(rig, this.sources, await this.#scores(figure), topology);
    times.push(performance.now());
    const source = this.sources.figure(choice.figure);
    const moving = animate(
      rig,
      source,
      (clips ?? source.clipNames).map((name) => this.sources.clip(source, name)),
    );
    const character = await toFile(figure, rig.body, moving);
    times.push(performance.now());
    const [figureMs, rigMs, motionMs] = times.slice(1).map((time, i) => time - times[i]!) as [number, number, number];
    return {
      character,
      topology: choice.topology,
      confidence: choice.confidence,
      facing: facingOf(moving.mapping),
      source: choice.figure,
      maskFrom: figure.origin,
      notes: notesOf(figure, rig.medial.points.length > 2, choice.confidence),
      timings: { figureMs, rigMs, motionMs },
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.segmenter?.close(), this.classifier?.close()]);
  }

  #saliency(): Saliency | null {
    const { segmenter } = this;
    if (segmenter === null) return null;
    return async (picture) => (await segmenter.detect(toPicture(picture))).value.values;
  }

  async #scores({ picture }: Figure): Promise<ReadonlyMap<string, number> | null> {
    if (this.classifier === null) return null;
    const { value } = await this.classifier.detect(toPicture(picture));
    return new Map(value.scores.map(({ label, score }) => [label, score]));
  }
}

function toPicture({ width, height, data }: Raster): Picture {
  return new Picture(width, height, data as Uint8Array);
}

function notesOf(figure: Figure, hasLimbs: boolean, confidence: number): string[] {
  const notes = [...figure.notes];
  if (!hasLimbs) notes.push('no limbs found: the figure gets a skeleton of one bone and moves as a whole');
  if (confidence < 0.5) notes.push('unsure what it moves on; name its topology if it is wrong');
  return notes;
}

type Moving = ReturnType<typeof animate>;

async function toFile(figure: Figure, body: Parameters<typeof textureOf>[1], moving: Moving): Promise<CharacterFile> {
  const { skeleton, joints, weights, vertices } = moving;
  const { png, uvs } = await textureOf(figure, body);
  const numbers = vertices.length < 65536 ? Uint16Array : Uint32Array;
  return {
    name: 'drawing',
    jointNames: skeleton.names,
    vertexCount: vertices.length,
    vertices: Float32Array.from(vertices.flat()),
    uvs,
    faces: numbers.from(body.faces.flat()),
    joints,
    weights,
    texturePng: png,
    parents: Int32Array.from(skeleton.parents),
    restPositions: Float32Array.from(skeleton.positions.flat()),
    clips: moving.clips.map((clip) => toMatrices(skeleton, clip)),
    goldenLimit: 1e-5,
  };
}

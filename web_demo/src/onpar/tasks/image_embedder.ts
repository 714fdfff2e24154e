/** The task of telling how alike pictures are: reference/tasks/embedding.py. */
import { entryOf, output, type Context, type Tensors } from '../runner/outputs';
import { open, type From, type TaskOptions } from './open';
import { PictureTask } from './task';

/** A picture as a vector, near to those of pictures that are alike. */
export class Embedding {
  /** @param vector as the network gives it. */
  constructor(readonly vector: Float32Array) {}

  /** Cosine of the angle between two: 1 for alike, 0 where one is zero. */
  similarity(other: Embedding): number {
    const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
    const norm = Math.sqrt(dot(this.vector, this.vector)) * Math.sqrt(dot(other.vector, other.vector));
    return norm === 0 ? 0 : dot(this.vector, other.vector) / norm;
  }
}

export function toEmbedding(outputs: Tensors, { manifest }: Context): Embedding {
  return new Embedding(output(outputs, entryOf(manifest, 0).name).slice());
}

/** The vector of one picture. */
export class ImageEmbedder extends PictureTask<Embedding> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<ImageEmbedder> {
    return new ImageEmbedder(...(await open(from, 'Embedding', options)), toEmbedding);
  }
}

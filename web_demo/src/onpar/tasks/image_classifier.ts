/** The task of telling what a picture shows. */
import { BundleInvalid } from '../bundle/errors';
import { output, softmax, type Context, type Tensors } from '../runner/outputs';
import { open, type From, type TaskOptions } from './open';
import { PictureTask } from './task';

/** What a picture shows. */
export interface Classification {
  readonly label: string;
  readonly score: number;
  /** False where the picture shows none of the classes: the bundle's threshold is above the score. */
  readonly known: boolean;
  /** Every class with its probability, most probable first. */
  readonly scores: readonly { readonly label: string; readonly score: number }[];
}

export function toClassification(outputs: Tensors, { manifest }: Context): Classification {
  const probabilities = softmax(output(outputs, 'logits'));
  const scores = manifest.labels.map((label, i) => ({ label, score: probabilities[i] ?? Number.NaN }));
  if (scores.length === 0 || scores.length !== probabilities.length) {
    throw new BundleInvalid(
      `${manifest.id} has ${scores.length} labels for ${probabilities.length} classes; export again`,
    );
  }
  scores.sort((a, b) => b.score - a.score); // stable: equal scores keep the order of the labels
  const { label, score } = scores[0]!;
  return { label, score, known: score >= (manifest.postprocess.threshold ?? 0), scores };
}

/** What a picture shows. */
export class ImageClassifier extends PictureTask<Classification> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<ImageClassifier> {
    return new ImageClassifier(...(await open(from, 'Classification', options)), toClassification);
  }
}

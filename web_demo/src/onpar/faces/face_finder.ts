/** Boxes and squares around the faces of a picture: a detector and, where there is one, a network that judges them. */
import type { Bundle } from '../bundle/bundle';
import { BadInput } from '../bundle/errors';
import { thresholdOf } from '../bundle/manifest';
import type { PixelSource } from '../image/pixels';
import { PicturePreprocessor } from '../image/preprocess';
import { output, softmax } from '../runner/outputs';
import type { Runner } from '../runner/runner';
import { findFaces, type FaceBox } from './face_boxes';
import type { FindFaces, StageClock } from './face_tracker';
import { squareOfBox } from './square';

/** What a judge tells apart, in the order of its logits. */
const JUDGED = ['face', 'background'];

/** Score of the detector from which on no judge is asked. */
const SURE = 0.8;

/** The second network of the detector's cascade. */
export interface FaceJudge {
  readonly bundle: Bundle;
  readonly runner: Runner;
}

/** What judges boxes: from the tensor of a square to logits of face and background. */
export interface Judging {
  /** Side of the square that it sees, in pixels. */
  readonly size: number;
  readonly threshold: number;
  readonly logits: (tensor: Float32Array) => Promise<Float32Array>;
}

/** The detector's boxes around the faces of a picture, judged where there is a judge. */
export function boxFinder(
  { manifest }: Bundle,
  runner: Runner,
  clock: StageClock,
  judge?: FaceJudge | null,
): (picture: PixelSource) => Promise<readonly FaceBox[]> {
  const whole = new PicturePreprocessor(manifest.preprocess);
  const judging = judge && judgingOf(judge, clock);
  const refine = judging && boxRefiner(judging, clock);
  const lowest = judging ? judging.threshold ** 2 : thresholdOf(manifest);
  return async (picture) => {
    const region = clock.pre(() => whole.run(picture));
    const outputs = await clock.inference(() => runner.run(whole.tensor));
    const found = findFaces(output(outputs, 'faces'), region, lowest);
    return refine ? refine(found, picture) : found;
  };
}

/** The squares around them that a network for faces sees first. */
export function faceFinder(detector: Bundle, runner: Runner, clock: StageClock, judge?: FaceJudge | null): FindFaces {
  const boxes = boxFinder(detector, runner, clock, judge);
  return async (picture) => (await boxes(picture)).map(({ boxPx }) => squareOfBox(boxPx));
}

function judgingOf({ bundle, runner }: FaceJudge, clock: StageClock): Judging {
  const { manifest } = bundle;
  const logits = async (tensor: Float32Array): Promise<Float32Array> =>
    output(await clock.inference(() => runner.run(tensor)), 'logits');
  return { size: manifest.preprocess.size[0], threshold: thresholdOf(manifest), logits };
}

type RefineBoxes = (found: readonly FaceBox[], picture: PixelSource) => Promise<readonly FaceBox[]>;

/**
 * Keeps the boxes of which the geometric mean of the detector's and the judge's score reaches the judge's threshold, the
 * surest first. Of some the detector is sure, others can't reach the threshold: the judge looks at what lies between.
 * reference/pipelines/faces.py, refine.
 */
export function boxRefiner({ size, threshold, logits }: Judging, clock: StageClock): RefineBoxes {
  const crop = new PicturePreprocessor({ size: [size, size], color: 'RGB', resize: 'cover', boxGrow: 0 });
  return async (found, picture) => {
    const kept: FaceBox[] = [];
    for (const box of found.filter(({ score }) => score >= threshold ** 2)) {
      let face = 1;
      if (box.score < SURE) {
        clock.pre(() => crop.sample(picture, squareOfBox(box.boxPx)));
        face = softmax(await logits(crop.tensor))[0]!;
      }
      const score = Math.sqrt(box.score * face);
      if (score >= threshold) kept.push({ ...box, score });
    }
    return kept.sort((a, b) => b.score - a.score);
  };
}

export function demandJudge({ name, manifest }: Bundle): void {
  if (manifest.labels.join() !== JUDGED.join()) {
    throw new BadInput(`${name} does not tell ${JUDGED.join(' from ')}; give the detector's second network`);
  }
}

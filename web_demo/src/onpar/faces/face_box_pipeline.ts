/** A face detector and the second network of its cascade: box, score and five points of every face, the surest first. */
import { demand, type Bundle } from '../bundle/bundle';
import type { PixelSource } from '../image/pixels';
import { loadAll, type LoadRunner, type Runner } from '../runner/runner';
import type { FaceBox, FaceBoxes } from './face_boxes';
import { boxFinder, demandJudge } from './face_finder';
import { FacePipeline } from './face_pipeline';

/**
 * `FaceDetector.fromBundles` opens one. The second network looks at each box that may be a face in the picture's own
 * pixels. Calls run one after the other; closing waits for the one that runs.
 */
export class FaceBoxPipeline extends FacePipeline<FaceBoxes> {
  readonly #boxes: (picture: PixelSource) => Promise<readonly FaceBox[]>;

  private constructor(detector: Bundle, judge: Bundle, runners: readonly Runner[]) {
    super(runners);
    this.#boxes = boxFinder(detector, runners[0]!, this.clock, { bundle: judge, runner: runners[1]! });
  }

  /** Checks that the bundles belong together and loads them; what was loaded is closed where another can't be. */
  static async open([detector, judge]: readonly [Bundle, Bundle], load: LoadRunner): Promise<FaceBoxPipeline> {
    demand(detector, 'FaceBoxes');
    demandJudge(judge);
    return new FaceBoxPipeline(detector, judge, await loadAll([detector, judge], load));
  }

  protected override async find(picture: PixelSource): Promise<FaceBoxes> {
    return { faces: await this.#boxes(picture) };
  }
}

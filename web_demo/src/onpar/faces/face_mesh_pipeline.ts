/** A face detector and a network for face meshes: every face of a picture or frame. */
import { demand, type Bundle } from '../bundle/bundle';
import { BadInput } from '../bundle/errors';
import type { PixelSource } from '../image/pixels';
import { PicturePreprocessor } from '../image/preprocess';
import type { Region } from '../image/region';
import { loadAll, type LoadRunner, type Runner } from '../runner/runner';
import { demandJudge, faceFinder } from './face_finder';
import { FaceTopology, toFaceMesh, type FaceMesh } from './face_mesh';
import { FacePipeline } from './face_pipeline';
import type { FindFaces } from './face_tracker';
import { LARGEST_SIDE_OF_PICTURE, regionAround } from './square';

export interface MeshOptions {
  /** Faces, the largest first; 8 without it. */
  readonly most?: number;
}

/**
 * `FaceReconstructor.fromBundles` opens one. The network looks at each face twice: at the detector's square, which is
 * rough, and at the square around the landmarks that it found there. Faces come largest first. Calls run one after the
 * other; closing waits for the one that runs.
 */
export class FaceMeshPipeline extends FacePipeline<readonly FaceMesh[]> {
  readonly #squares: FindFaces;
  readonly #crop: PicturePreprocessor;

  private constructor(
    detector: Bundle,
    private readonly face3d: Bundle,
    judge: Bundle | null,
    runners: readonly Runner[],
    private readonly topology: FaceTopology,
    private readonly most: number,
  ) {
    super(runners);
    this.#squares = faceFinder(detector, runners[0]!, this.clock, judge && { bundle: judge, runner: runners[2]! });
    this.#crop = new PicturePreprocessor(face3d.manifest.preprocess);
  }

  /** Checks that the bundles belong together and loads them; what was loaded is closed where another can't be. */
  static async open(
    [detector, face3d, judge = null]: readonly [Bundle, Bundle, (Bundle | null)?],
    load: LoadRunner,
    { most = 8 }: MeshOptions = {},
  ): Promise<FaceMeshPipeline> {
    demand(detector, 'FaceBoxes');
    demand(face3d, 'FaceMesh');
    if (judge) demandJudge(judge);
    if (!(most >= 1)) throw new BadInput(`most is ${most}; allowed: 1 or more`);
    const topology = FaceTopology.of(face3d);
    const runners = await loadAll([detector, face3d, ...(judge ? [judge] : [])], load);
    return new FaceMeshPipeline(detector, face3d, judge, runners, topology, most);
  }

  protected override async find(picture: PixelSource): Promise<readonly FaceMesh[]> {
    const regions = [...(await this.#squares(picture))].sort((a, b) => b.width - a.width).slice(0, this.most);
    const faces: FaceMesh[] = [];
    for (const rough of regions) {
      const region = regionAround((await this.#look(picture, rough)).landmarksPx());
      const largest = LARGEST_SIDE_OF_PICTURE * Math.max(picture.width, picture.height);
      // Otherwise the landmarks are no face's.
      if (region.width > 0 && region.width <= largest) faces.push(await this.#look(picture, region));
    }
    return faces;
  }

  async #look(picture: PixelSource, region: Region): Promise<FaceMesh> {
    this.clock.pre(() => this.#crop.sample(picture, region));
    const outputs = await this.clock.inference(() => this.runners[1]!.run(this.#crop.tensor));
    const { manifest } = this.face3d;
    const context = { manifest, region, pictureWidth: picture.width, pictureHeight: picture.height };
    return toFaceMesh(outputs, context, this.topology);
  }
}

/** Finds faces and their keypoints in pictures, and follows them through videos: reference/pipelines/faces.py. */
import { BadInput } from '../bundle/errors';
import type { PixelSource } from '../image/pixels';
import { PicturePreprocessor } from '../image/preprocess';
import { toPicture, type Region } from '../image/region';
import { FACE_POINTS, LARGEST_SIDE_OF_PICTURE, squareFromPoints, SquareSampler, Square } from './square';
import { steady, type Steady } from './steady';

/** Mean distance of result and template, in outer eye distances; 0.05 is usual on faces. */
const LOST_DISAGREEMENT = 0.25;
/** Largest change of a face's side from one frame to the next. */
const LOST_GROWTH = 1.6;
/** Largest shift of its centre, in sides. */
const LOST_SHIFT = 0.6;
/** Least correlation of the crop's thumbnail with the one before: networks see a face in a wall, too. */
const LOST_LIKENESS = 0.5;
/** Side of the thumbnail. */
const THUMBNAIL = 16;
/** Of a crop, in pixels. */
const SMALLEST_CROP = 16;
/** Overlap from which on a track and a detector's crop show one face. */
const SAME_FACE = 0.3;

/** The keypoints of a face that the pipeline found. */
export interface DetectedFace {
  /** 68 points: x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0). */
  readonly pointsPx: Float32Array;
  /** Likewise, from the template alone. */
  readonly templatePointsPx: Float32Array;
  /** The crop that the last network saw. */
  readonly square: Square;
  /** Mean distance of the two in outer eye distances; large where there is no face. */
  readonly disagreement: number;
  /** The crop came from the frame before, not from the detector. */
  readonly tracked: boolean;
}

/** A face with a grey 16 x 16 picture of its crop, and what is known of how it moved. */
interface Track extends DetectedFace {
  readonly thumbnail: Float32Array;
  steady: Steady | null;
}

/** Points and those of the template, in fractions of the crop; read before the next run. */
export interface PointAnswer {
  readonly points: Float32Array;
  readonly template: Float32Array;
}

/** (1, 3, S, S) RGB in [0, 1] to points. */
export type PointNetwork = (tensor: Float32Array) => Promise<PointAnswer>;

/** Crops for the first network around the faces of a picture. */
export type FindFaces = (picture: PixelSource) => Promise<readonly Region[]>;

export interface TrackerOptions {
  /** Faces to find or follow, the largest first; 8 without it. */
  readonly most?: number;
  /** Frames of a video after which the detector looks again; 30 without it. */
  readonly checkEvery?: number;
  /** Steady the points of videos, so that a still face's stand still; true without it. What is tracked stays as it is. */
  readonly smooth?: boolean;
}

/** Milliseconds spent before and inside the networks. */
export class StageClock {
  preMs = 0;
  inferenceMs = 0;

  pre<T>(work: () => T): T {
    const began = performance.now();
    const made = work();
    this.preMs += performance.now() - began;
    return made;
  }

  async inference<T>(work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const made = await work();
    this.inferenceMs += performance.now() - began;
    return made;
  }
}

export class FaceTracker {
  readonly #regions: PicturePreprocessor;
  readonly #squares: SquareSampler;
  readonly #most: number;
  readonly #checkEvery: number;
  readonly #smooth: boolean;
  #tracks: readonly Track[] = [];
  #sinceCheck = 0;
  #detectorRuns = 0;

  constructor(
    private readonly find: FindFaces,
    private readonly first: PointNetwork,
    private readonly second: PointNetwork | null,
    private readonly size: number,
    { most = 8, checkEvery = 30, smooth = true }: TrackerOptions = {},
    readonly clock = new StageClock(),
  ) {
    if (!(most >= 1 && checkEvery >= 1)) {
      throw new BadInput(`most is ${most}, checkEvery ${checkEvery}; allowed: 1 or more`);
    }
    if (!(size >= THUMBNAIL && size % THUMBNAIL === 0)) {
      throw new BadInput(`the keypoint network takes ${size} pixels; allowed: a multiple of ${THUMBNAIL}`);
    }
    [this.#most, this.#checkEvery, this.#smooth] = [most, checkEvery, smooth];
    this.#regions = new PicturePreprocessor({ size: [size, size], color: 'RGB', resize: 'cover', boxGrow: 0 });
    this.#squares = new SquareSampler(size);
  }

  /** How often the detector ran since the video began. */
  get detectorRuns(): number {
    return this.#detectorRuns;
  }

  /** Forget the video so far. */
  reset(): void {
    this.#tracks = [];
    this.#sinceCheck = 0;
    this.#detectorRuns = 0;
  }

  /** Every face of a picture, largest first. */
  async detect(picture: PixelSource): Promise<readonly DetectedFace[]> {
    const faces: Track[] = [];
    for (const region of await this.#findFaces(picture)) {
      const face = await this.#fromRegion(picture, region);
      if (face) faces.push(face);
    }
    return faces;
  }

  /** The faces of the next frame, later than the last; the detector runs when a track is lost or a check is due. */
  async detectForVideo(frame: PixelSource, timestampMs: number): Promise<readonly DetectedFace[]> {
    let kept: Track[] = [];
    for (const before of this.#tracks) {
      const now = await this.#fromSquare(frame, squareFromPoints(before.pointsPx), true);
      now.steady = before.steady;
      if (holds(now, before, frame)) kept.push(now);
    }
    this.#sinceCheck++;
    if (kept.length === 0 || kept.length < this.#tracks.length || this.#sinceCheck >= this.#checkEvery) {
      kept = await this.#check(frame, kept);
      this.#sinceCheck = 0;
    }
    this.#tracks = kept.sort((a, b) => b.square.side - a.square.side).slice(0, this.#most);
    return this.#smooth ? this.#tracks.map((track) => steadied(track, timestampMs)) : this.#tracks;
  }

  /** Let the detector confirm tracks, end others, and add new faces. */
  async #check(frame: PixelSource, kept: readonly Track[]): Promise<Track[]> {
    const confirmed: Track[] = [];
    for (const region of await this.#findFaces(frame)) {
      const same = kept.find((face) => overlap(face.square, region) > SAME_FACE && !confirmed.includes(face));
      const face = same ?? (await this.#fromRegion(frame, region));
      if (face) confirmed.push(face);
    }
    return confirmed;
  }

  async #findFaces(picture: PixelSource): Promise<readonly Region[]> {
    this.#detectorRuns++;
    const largest = LARGEST_SIDE_OF_PICTURE * longest(picture);
    const regions = (await this.find(picture)).filter(({ width }) => width > 0 && width <= largest);
    return regions.sort((a, b) => b.width - a.width).slice(0, this.#most);
  }

  /** Null where the points are no face's. */
  async #fromRegion(picture: PixelSource, region: Region): Promise<Track | null> {
    this.clock.pre(() => this.#regions.sample(picture, region));
    // The detector's square is rough: the network looks again through its own.
    const square = squareFromPoints(toPicture((await this.first(this.#regions.tensor)).points, region));
    if (!square.fits(longest(picture))) return null;
    const face = await this.#fromSquare(picture, square, false);
    return squareFromPoints(face.pointsPx).fits(longest(picture)) ? face : null;
  }

  async #fromSquare(picture: PixelSource, chosen: Square, tracked: boolean): Promise<Track> {
    const square = chosen.side < SMALLEST_CROP ? new Square(chosen.x, chosen.y, SMALLEST_CROP, chosen.angle) : chosen;
    const { tensor } = this.#squares;
    this.clock.pre(() => this.#squares.sample(picture, square));
    const { points, template } = await (this.second ?? this.first)(tensor);
    const pointsPx = square.toPicture(points);
    const templatePointsPx = square.toPicture(template);
    return {
      pointsPx,
      templatePointsPx,
      square,
      disagreement: disagreementOf(pointsPx, templatePointsPx),
      tracked,
      thumbnail: thumbnailOf(tensor, this.size),
      steady: null,
    };
  }
}

/** The face with smoothed points; one that was not followed from the frame before starts anew. */
function steadied(track: Track, timestampMs: number): DetectedFace {
  const { pointsPx: points, square } = track;
  // On a profile the eyes' distance is nothing; a crop's side never is.
  const eyes = Math.hypot(points[90]! - points[72]!, points[91]! - points[73]!);
  track.steady = steady(track.steady, points, timestampMs, Math.max(1, eyes, square.side / 6));
  return { ...track, pointsPx: track.steady.pointsPx };
}

function disagreementOf(points: Float32Array, template: Float32Array): number {
  const eyes = Math.hypot(template[90]! - template[72]!, template[91]! - template[73]!);
  let total = 0;
  for (let i = 0; i < points.length; i += 2) {
    total += Math.hypot(points[i]! - template[i]!, points[i + 1]! - template[i + 1]!);
  }
  return total / FACE_POINTS / Math.max(1e-6, eyes);
}

/** Whether a track still follows the face that it followed. */
function holds(now: Track, before: Track, frame: PixelSource): boolean {
  const [next, last] = [squareFromPoints(now.pointsPx), squareFromPoints(before.pointsPx)];
  const growth = next.side / Math.max(last.side, 1e-6);
  const moved = Math.hypot(next.x - last.x, next.y - last.y) / Math.max(last.side, 1e-6);
  const inside = next.x >= -0.5 && next.x < frame.width && next.y >= -0.5 && next.y < frame.height;
  const steady = growth > 1 / LOST_GROWTH && growth < LOST_GROWTH && moved < LOST_SHIFT;
  const sized = next.side >= SMALLEST_CROP && next.fits(longest(frame));
  const alike = likeness(now.thumbnail, before.thumbnail) >= LOST_LIKENESS;
  return inside && steady && sized && alike && now.disagreement < LOST_DISAGREEMENT;
}

function longest({ width, height }: PixelSource): number {
  return Math.max(width, height);
}

/** Grey means of the blocks of a (1, 3, S, S) crop, S a multiple of 16. */
function thumbnailOf(crop: Float32Array, size: number): Float32Array {
  const block = size / THUMBNAIL;
  const sums = new Float32Array(THUMBNAIL * THUMBNAIL);
  for (let i = 0; i < crop.length; i++) {
    const pixel = i % (size * size);
    sums[Math.floor(Math.floor(pixel / size) / block) * THUMBNAIL + Math.floor((pixel % size) / block)]! += crop[i]!;
  }
  return sums.map((sum) => sum / (3 * block * block));
}

/** Correlation of two thumbnails in [-1, 1]; 0 where one of them is flat. */
function likeness(a: Float32Array, b: Float32Array): number {
  const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [both, squaresA, squaresB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    both += (a[i]! - meanA) * (b[i]! - meanB);
    squaresA += (a[i]! - meanA) ** 2;
    squaresB += (b[i]! - meanB) ** 2;
  }
  const length = Math.sqrt(squaresA * squaresB);
  return length > 1e-6 ? both / length : 0;
}

/** Intersection over union of a square, its turn left out, and a region. */
function overlap({ x, y, side }: Square, region: Region): number {
  const [left, top] = [x + 0.5 - side / 2, y + 0.5 - side / 2];
  const width = Math.min(left + side, region.left + region.width) - Math.max(left, region.left);
  const height = Math.min(top + side, region.top + region.height) - Math.max(top, region.top);
  const common = Math.max(0, width) * Math.max(0, height);
  return common / (side * side + region.width * region.height - common);
}

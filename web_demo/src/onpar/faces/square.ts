/** Turned square crops, as the keypoint networks see them: reference/pipelines/faces.py. */
import { BadInput } from '../bundle/errors';
import type { PixelSource } from '../image/pixels';
import type { Region } from '../image/region';
import type { FaceBox } from './face_boxes';

/** Points of a face, in the order of the 300-W annotations. */
export const FACE_POINTS = 68;
/** Side of the crop in sides of the points' box. */
const CROP_SCALE = 1.6;
/** Samples of one pixel of a crop along each axis. */
const MOST_SAMPLES = 32;
/** The keypoint networks' square, in longer sides of the detector's box. */
const SQUARE_OF_BOX = 1.4;
/** Of a crop, in longer sides of the picture: beyond it the points are no face's. */
export const LARGEST_SIDE_OF_PICTURE = 8;
const RADIANS = Math.PI / 180;

/**
 * A square of a picture, turned.
 *
 * `x` and `y` are its centre in picture pixels, the centre of the first pixel at (0, 0); `angle` is in degrees by which
 * the picture is turned clockwise to make the face upright.
 */
export class Square {
  constructor(
    readonly x: number,
    readonly y: number,
    readonly side: number,
    readonly angle = 0,
  ) {}

  /** Fractions of the crop, x then y, to picture pixels. */
  toPicture(fractions: Float32Array): Float32Array {
    const along = this.side * Math.cos(this.angle * RADIANS);
    const across = this.side * Math.sin(this.angle * RADIANS);
    const points = new Float32Array(fractions.length);
    for (let i = 0; i < fractions.length; i += 2) {
      const [u, v] = [fractions[i]! - 0.5, fractions[i + 1]! - 0.5];
      points[i] = this.x + u * along + v * across;
      points[i + 1] = this.y - u * across + v * along;
    }
    return points;
  }

  /** Whether a crop of it can be taken from a picture whose longer side is given. */
  fits(longest: number): boolean {
    const finite = [this.x, this.y, this.side, this.angle].every(Number.isFinite);
    return finite && this.side <= LARGEST_SIDE_OF_PICTURE * longest;
  }
}

/** Roll of a face in degrees, from the line through the eyes of its 68 points; positive: its left eye is lower. */
function rollOf(points: Float32Array): number {
  let [x, y] = [0, 0];
  for (let i = 36; i < 42; i++) {
    x += points[2 * i + 12]! - points[2 * i]!;
    y += points[2 * i + 13]! - points[2 * i + 1]!;
  }
  return Math.atan2(y, x) / RADIANS;
}

/** The upright square around a face that the keypoint networks look at, from its 68 points: x, y, x, y, ... in pixels. */
export function squareFromPoints(pointsPx: Float32Array): Square {
  if (pointsPx.length !== 2 * FACE_POINTS) {
    throw new BadInput(`got ${pointsPx.length} values; a square needs ${FACE_POINTS} points, x and y of each`);
  }
  const angle = -rollOf(pointsPx);
  const [c, s] = [Math.cos(angle * RADIANS), Math.sin(angle * RADIANS)];
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < pointsPx.length; i += 2) {
    const x = pointsPx[i]! * c - pointsPx[i + 1]! * s;
    const y = pointsPx[i]! * s + pointsPx[i + 1]! * c;
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  }
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return new Square(x * c + y * s, y * c - x * s, Math.max(right - left, bottom - top) * CROP_SCALE, angle);
}

/** The crop for the first network from a detector's box: a square about its centre, as in the training. */
export function squareOfBox([x0, y0, x1, y1]: FaceBox['boxPx']): Region {
  const side = Math.max(x1 - x0, y1 - y0) * SQUARE_OF_BOX;
  return { left: (x0 + x1 - side) / 2, top: (y0 + y1 - side) / 2, width: side, height: side };
}

/** The square about the box of 68 points that networks for upright faces look at; x, y, x, y, ... in pixels. */
export function regionAround(pointsPx: Float32Array): Region {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < pointsPx.length; i += 2) {
    [left, right] = [Math.min(left, pointsPx[i]!), Math.max(right, pointsPx[i]!)];
    [top, bottom] = [Math.min(top, pointsPx[i + 1]!), Math.max(bottom, pointsPx[i + 1]!)];
  }
  const side = Math.max(right - left, bottom - top) * CROP_SCALE;
  return { left: (left + right - side + 1) / 2, top: (top + bottom - side + 1) / 2, width: side, height: side };
}

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/**
 * Turns one square after the other into the input tensor; keeps its memory.
 *
 * A pixel of the crop is the mean of k x k bilinear samples, k = ceil(side / size), 32 at most; beyond the picture's
 * border edge pixels repeat.
 */
export class SquareSampler {
  /** (1, 3, size, size) RGB in [0, 1]; overwritten by every {@link sample}. */
  readonly tensor: Float32Array;
  #row = new Float32Array(0);
  /** Red, green, blue of the part of the picture that the square touches. */
  #pixels = new Uint8Array(0);
  #left = 0;
  #top = 0;
  #columns = 0;
  #rows = 0;
  readonly #sum = new Float64Array(3);

  constructor(readonly size: number) {
    this.tensor = new Float32Array(3 * size * size);
  }

  /** Fill {@link tensor}. */
  sample(source: PixelSource, square: Square): void {
    const { x, y, side, angle } = square;
    if (!square.fits(Infinity) || side < 0) {
      throw new BadInput(`square is ${x}, ${y}, ${side}, ${angle}; allowed: finite numbers, a side of 0 or more`);
    }
    const { size, tensor } = this;
    const fine = clamp(Math.ceil(side / size), 1, MOST_SAMPLES);
    const [c, s] = [Math.cos(angle * RADIANS), Math.sin(angle * RADIANS)];
    this.#read(source, square, (side / 2) * (Math.abs(c) + Math.abs(s)));
    const step = side / (size * fine);
    const scale = 255 * fine * fine;
    const sum = this.#sum;
    for (let at = 0; at < size * size; at++) {
      sum.fill(0);
      const [column, row] = [(at % size) * fine, Math.floor(at / size) * fine];
      for (let j = 0; j < fine; j++) {
        const v = (row + j + 0.5) * step - side / 2;
        for (let i = 0; i < fine; i++) {
          const u = (column + i + 0.5) * step - side / 2;
          this.#add(x + u * c + v * s - this.#left, y - u * s + v * c - this.#top);
        }
      }
      for (let k = 0; k < 3; k++) tensor[k * size * size + at] = sum[k]! / scale;
    }
  }

  /** Copies what lies within `reach` of the square's centre, one pixel at least: what is beyond is as its edge. */
  #read(source: PixelSource, { x, y }: Square, reach: number): void {
    const { width, height } = source;
    this.#left = clamp(Math.floor(x - reach), 0, width - 1);
    this.#top = clamp(Math.floor(y - reach), 0, height - 1);
    const columns = clamp(Math.floor(x + reach) + 1, this.#left, width - 1) - this.#left + 1;
    const rows = clamp(Math.floor(y + reach) + 1, this.#top, height - 1) - this.#top + 1;
    [this.#columns, this.#rows] = [columns, rows];
    if (this.#row.length < 3 * columns) this.#row = new Float32Array(3 * columns);
    if (this.#pixels.length < 3 * columns * rows) this.#pixels = new Uint8Array(3 * columns * rows);
    const [row, pixels] = [this.#row, this.#pixels];
    let to = 0;
    for (let i = 0; i < rows; i++) {
      source.readRow(this.#top + i, this.#left, columns, row);
      for (let j = 0; j < columns; j++) {
        pixels[to++] = row[j]!;
        pixels[to++] = row[j + columns]!;
        pixels[to++] = row[j + 2 * columns]!;
      }
    }
  }

  /** One bilinear sample. */
  #add(x: number, y: number): void {
    const [pixels, sum, columns] = [this.#pixels, this.#sum, this.#columns];
    const inX = clamp(x, 0, columns - 1);
    const inY = clamp(y, 0, this.#rows - 1);
    const x0 = Math.floor(inX);
    const y0 = Math.floor(inY);
    const across = inX - x0;
    const down = inY - y0;
    const upper = 3 * (y0 * columns + x0);
    const lower = y0 + 1 < this.#rows ? upper + 3 * columns : upper;
    const right = x0 + 1 < columns ? 3 : 0;
    for (let k = 0; k < 3; k++) {
      const above = pixels[upper + k]! * (1 - across) + pixels[upper + right + k]! * across;
      const below = pixels[lower + k]! * (1 - across) + pixels[lower + right + k]! * across;
      sum[k]! += above * (1 - down) + below * down;
    }
  }
}

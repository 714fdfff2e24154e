/** Upright pixels, row by row: pictures (RGB or RGBA bytes) and camera frames (YUV planes with strides). */
import { BadInput } from '../bundle/errors';

export const SMALLEST_SIDE = 8;
export const LARGEST_SIDE = 16384;

/** Pixels that preprocessing reads; width and height are those of the upright picture. */
export interface PixelSource {
  readonly width: number;
  readonly height: number;
  /** Write red, green and blue (0 to 255) of pixels [first, first + count) of a row, one channel after the other. */
  readRow(y: number, first: number, count: number, out: Float32Array): void;
}

/**
 * Where upright pixel (x, y) lies in the stored picture: (x0 + x * xx + y * xy, y0 + x * yx + y * yy).
 * EXIF value 1 is upright, 3 upside down, 6 needs a quarter turn clockwise, 8 anticlockwise; 2, 4, 5, 7 are mirrored.
 */
class Placement {
  readonly width: number;
  readonly height: number;
  readonly x0: number;
  readonly y0: number;
  readonly xx: number;
  readonly xy: number;
  readonly yx: number;
  readonly yy: number;

  constructor(storedWidth: number, storedHeight: number, orientation: number) {
    checkSize(storedWidth, storedHeight);
    if (!Number.isInteger(orientation) || orientation < 1 || orientation > 8) {
      throw new BadInput(`orientation is ${orientation}; allowed: the EXIF values 1 to 8`);
    }
    const turned = orientation >= 5;
    const flipX = [2, 3, 7, 8].includes(orientation);
    const flipY = [3, 4, 6, 7].includes(orientation);
    [this.width, this.height] = turned ? [storedHeight, storedWidth] : [storedWidth, storedHeight];
    const stepX = flipX ? -1 : 1;
    const stepY = flipY ? -1 : 1;
    [this.xx, this.xy] = turned ? [0, stepX] : [stepX, 0];
    [this.yx, this.yy] = turned ? [stepY, 0] : [0, stepY];
    this.x0 = flipX ? storedWidth - 1 : 0;
    this.y0 = flipY ? storedHeight - 1 : 0;
  }
}

export function checkSize(width: number, height: number): void {
  if (!(Math.min(width, height) >= SMALLEST_SIDE && Math.max(width, height) <= LARGEST_SIDE)) {
    throw new BadInput(
      `picture is ${width}x${height} pixels; allowed: ${SMALLEST_SIDE} to ${LARGEST_SIDE} on each side`,
    );
  }
}

/** A picture in memory: 3 (RGB) or 4 (RGBA; transparency is laid over white) bytes a pixel, without padding. */
export class Picture implements PixelSource {
  readonly width: number;
  readonly height: number;
  readonly #place: Placement;
  readonly #storedWidth: number;
  readonly #channels: 3 | 4;

  constructor(
    width: number,
    height: number,
    readonly bytes: Uint8Array | Uint8ClampedArray,
    orientation = 1,
  ) {
    this.#place = new Placement(width, height, orientation);
    const channels = bytes.length / (width * height);
    if (channels !== 3 && channels !== 4) {
      throw new BadInput(`picture has ${bytes.length} bytes; ${width}x${height} pixels need 3 or 4 bytes each`);
    }
    this.#channels = channels;
    this.#storedWidth = width;
    this.width = this.#place.width;
    this.height = this.#place.height;
  }

  /** Decode a picture file; the browser turns it upright by its EXIF value. */
  static async fromBlob(blob: Blob): Promise<Picture> {
    const options: ImageBitmapOptions = {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    };
    const bitmap = await createImageBitmap(blob, options).catch(() => {
      throw new BadInput('the file is no picture that this browser can read; give a PNG, JPEG or WebP file');
    });
    try {
      return Picture.fromImage(bitmap, bitmap.width, bitmap.height);
    } finally {
      bitmap.close();
    }
  }

  /** The pixels of whatever a canvas can draw: a bitmap, a canvas, the current frame of a video. */
  static fromImage(image: CanvasImageSource, width: number, height: number): Picture {
    checkSize(width, height);
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    if (context === null) throw new BadInput("this browser gives no 2-D canvas; the picture can't be read");
    context.drawImage(image, 0, 0, width, height);
    return new Picture(width, height, context.getImageData(0, 0, width, height).data);
  }

  readRow(y: number, first: number, count: number, out: Float32Array): void {
    const { x0, y0, xx, xy, yx, yy } = this.#place;
    const { bytes } = this;
    const channels = this.#channels;
    let at = ((y0 + first * yx + y * yy) * this.#storedWidth + x0 + first * xx + y * xy) * channels;
    const step = (yx * this.#storedWidth + xx) * channels;
    for (let i = 0; i < count; i++, at += step) {
      if (channels === 4 && bytes[at + 3]! < 255) {
        const alpha = bytes[at + 3]!;
        for (let c = 0; c < 3; c++)
          out[c * count + i] = Math.round((bytes[at + c]! * alpha + 255 * (255 - alpha)) / 255);
      } else {
        out[i] = bytes[at]!;
        out[count + i] = bytes[at + 1]!;
        out[2 * count + i] = bytes[at + 2]!;
      }
    }
  }
}

/** Bytes of one plane; strides in bytes, from row to row and from sample to sample. */
export interface Plane {
  readonly data: Uint8Array;
  readonly rowStride: number;
  readonly pixelStride: number;
}

export type YuvRange = 'full' | 'limited';
export type YuvMatrix = 'bt601' | 'bt709';

/** (Kr, Kb) of ITU-R BT.601 and BT.709. */
const LUMA_WEIGHTS: Record<YuvMatrix, readonly [number, number]> = { bt601: [0.299, 0.114], bt709: [0.2126, 0.0722] };

/** A camera frame: a Y plane, and U and V planes of half the size. Integer arithmetic, as in reference/inputs/camera.py. */
export class YuvFrame implements PixelSource {
  readonly width: number;
  readonly height: number;
  readonly #place: Placement;
  readonly #factors: Int32Array;

  constructor(
    width: number,
    height: number,
    readonly y: Plane,
    readonly u: Plane,
    readonly v: Plane,
    orientation = 1,
    range: YuvRange = 'full',
    matrix: YuvMatrix = 'bt601',
  ) {
    this.#place = new Placement(width, height, orientation);
    this.#factors = yuvFactors(matrix, range);
    const halfWidth = (width + 1) >> 1;
    const halfHeight = (height + 1) >> 1;
    checkPlane('Y', y, width, height);
    checkPlane('U', u, halfWidth, halfHeight);
    checkPlane('V', v, halfWidth, halfHeight);
    this.width = this.#place.width;
    this.height = this.#place.height;
  }

  readRow(row: number, first: number, count: number, out: Float32Array): void {
    const { x0, y0, xx, xy, yx, yy } = this.#place;
    const { y, u, v } = this;
    const [black, luma, redV, greenU, greenV, blueU] = this.#factors as unknown as number[];
    let rx = x0 + first * xx + row * xy;
    let ry = y0 + first * yx + row * yy;
    for (let i = 0; i < count; i++, rx += xx, ry += yx) {
      const bright = luma! * (y.data[ry * y.rowStride + rx * y.pixelStride]! - black!) + 32768;
      const cu = u.data[(ry >> 1) * u.rowStride + (rx >> 1) * u.pixelStride]! - 128;
      const cv = v.data[(ry >> 1) * v.rowStride + (rx >> 1) * v.pixelStride]! - 128;
      out[i] = toByte((bright + redV! * cv) >> 16);
      out[count + i] = toByte((bright + greenU! * cu + greenV! * cv) >> 16);
      out[2 * count + i] = toByte((bright + blueU! * cu) >> 16);
    }
  }
}

function toByte(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

function yuvFactors(matrix: YuvMatrix, range: YuvRange): Int32Array {
  const weights = LUMA_WEIGHTS[matrix];
  if (weights === undefined || (range !== 'full' && range !== 'limited')) {
    throw new BadInput(`frame is '${matrix}', '${range}'; allowed: bt601, bt709 and full, limited`);
  }
  const [kr, kb] = weights;
  const kg = 1 - kr - kb;
  const full = range === 'full';
  const luma = full ? 65536 : (65536 * 255) / 219;
  const chroma = full ? 65536 : (65536 * 255) / 224;
  return Int32Array.of(
    full ? 0 : 16,
    Math.round(luma),
    Math.round(chroma * 2 * (1 - kr)),
    -Math.round((chroma * 2 * kb * (1 - kb)) / kg),
    -Math.round((chroma * 2 * kr * (1 - kr)) / kg),
    Math.round(chroma * 2 * (1 - kb)),
  );
}

function checkPlane(name: string, plane: Plane, width: number, height: number): void {
  const row = (width - 1) * plane.pixelStride + 1;
  const needed = (height - 1) * plane.rowStride + row;
  if (plane.pixelStride < 1 || plane.rowStride < row || plane.data.length < needed) {
    throw new BadInput(
      `plane ${name} has ${plane.data.length} bytes, row stride ${plane.rowStride}, pixel stride ${plane.pixelStride}; ` +
        `${width}x${height} samples need ${needed} bytes and a row stride of at least ${row}`,
    );
  }
}

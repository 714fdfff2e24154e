/** The task of making another picture of one: reference/tasks/image_to_image.py. */
import { BadInput } from '../bundle/errors';
import type { Region } from '../image/region';
import { entryOf, output, type Context, type Tensors } from '../runner/outputs';
import { open, type From, type TaskOptions } from './open';
import { PictureTask } from './task';

/** Darkest and lightest value of each unit. */
const RANGES: Readonly<Record<string, readonly [number, number]>> = {
  zero_to_one: [0, 1],
  minus_one_to_one: [-1, 1],
  zero_to_255: [0, 255],
};

/** The picture that a network makes. */
export class NewPicture {
  constructor(
    /** Red, green, blue, opaque, ... row by row: what `ImageData` takes. */
    readonly rgba: Uint8ClampedArray<ArrayBuffer>,
    readonly width: number,
    readonly height: number,
    /** The part of the input picture that it was made of. */
    readonly region: Region,
  ) {}
}

export function toNewPicture(outputs: Tensors, { manifest, region }: Context): NewPicture {
  const { name, shape, unit } = entryOf(manifest, 0);
  const range = RANGES[unit];
  if (range === undefined) {
    throw new BadInput(`unit of ${name} is ${unit}; allowed: ${Object.keys(RANGES).join(', ')}`);
  }
  const [channels, height, width] = shape.slice(-3) as [number, number, number];
  const values = output(outputs, name);
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
  const [low, high] = range;
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      // In steps of 32 bits, as the reference rounds.
      const value = values[Math.min(c, channels - 1) * width * height + i]!;
      const share = Math.min(Math.max(Math.fround(Math.fround(value - low) / (high - low)), 0), 1);
      rgba[4 * i + c] = Math.floor(Math.fround(Math.fround(share * 255) + 0.5));
    }
  }
  return new NewPicture(rgba, width, height, region);
}

/** Another picture of one: styled, cleaned, enlarged. */
export class ImageToImage extends PictureTask<NewPicture> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<ImageToImage> {
    return new ImageToImage(...(await open(from, 'NewPicture', options)), toNewPicture);
  }
}

/** The drawing as a texture: the figure's part of the picture, its colours continued outwards. */
import { BackendUnavailable } from '../bundle/errors';
import type { Body } from './body';
import type { Figure } from './figure';
import { CROSS, cropBits, erode, toNearestEmpty, type Bits } from './grids';
import { area, resizedBytes, type Raster } from './resampling';

const LARGEST = 512;
const SMOOTH_FROM = 300;

export interface Texture {
  readonly png: Uint8Array<ArrayBuffer>;
  /** Two numbers a vertex: its place in the texture, from 0 to 1. */
  readonly uvs: Float32Array;
}

export async function textureOf({ picture, mask }: Figure, body: Body): Promise<Texture> {
  const [xs, ys] = [body.pixels.map(([x]) => x), body.pixels.map(([, y]) => y)];
  const [left, top] = [xs, ys].map((values) => Math.max(0, Math.floor(Math.min(...values)) - 2)) as [number, number];
  const width = Math.min(Math.ceil(Math.max(...xs)) + 3, picture.width) - left;
  const height = Math.min(Math.ceil(Math.max(...ys)) + 3, picture.height) - top;
  let cut = bled(picture, mask, left, top, width, height);
  const scale = LARGEST / Math.max(width, height);
  if (scale < 1) cut = resizedBytes(cut, Math.round(width * scale), Math.round(height * scale), area);
  const share = (value: number, begin: number, size: number): number =>
    Math.min(Math.max((value + 0.5 - begin) / size, 0), 1);
  const uvs = new Float32Array(2 * body.pixels.length);
  body.pixels.forEach(([x, y], v) => uvs.set([share(x, left, width), share(y, top, height)], 2 * v));
  return { png: await toPng(cut), uvs };
}

/** A part of the picture in which every pixel outside the figure has the colour of the nearest inside. */
function bled(picture: Raster, mask: Bits, left: number, top: number, width: number, height: number): Raster {
  const figure = cropBits(mask, left, top, width, height);
  // The outermost pixel is half paper; in a small picture it may be the whole outline.
  const inside = Math.max(picture.width, picture.height) >= SMOOTH_FROM ? erode(figure, CROSS, 0) : figure;
  const { nearest } = toNearestEmpty({ ...inside, data: inside.data.map((set) => 1 - set) });
  const data = new Uint8Array(3 * width * height);
  nearest.forEach((from, i) => {
    const at = 3 * ((top + Math.floor(from / width)) * picture.width + left + (from % width));
    for (let c = 0; c < 3; c++) data[3 * i + c] = picture.data[at + c]!;
  });
  return { width, height, channels: 3, data };
}

async function toPng({ width, height, data }: Raster): Promise<Uint8Array<ArrayBuffer>> {
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext('2d');
  if (pen === null) throw new BackendUnavailable("this browser gives no 2-D canvas; the drawing can't be stored");
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++)
    image.data.set([data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!, 255], 4 * i);
  pen.putImageData(image, 0, 0);
  return new Uint8Array(await (await canvas.convertToBlob({ type: 'image/png' })).arrayBuffer());
}

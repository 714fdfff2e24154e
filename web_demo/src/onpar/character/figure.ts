/** From a picture to the mask of its figure: from transparency, ink on paper, or saliency. */
import { BadInput } from '../bundle/errors';
import type { Picture } from '../image/pixels';
import { bitsWhere, boundsOf, chamfer, countBits, dilate, disc, largestPart, partsOf, type Bits } from './grids';
import { refined } from './guided';
import { Blank, figureOnPaper, NoFigure } from './paper';
import { area, resized, resizedBytes, type Raster } from './resampling';

const SMALLEST_SHARE = 0.005;
const SMALLEST_IN_PHOTO = 0.05;
const LARGEST_SHARE = 0.98;
const CUT = 0.03;
const SMALLEST_SHARP = 48;
const SECOND_PART = 0.25;
const INK_IN_REGION = 0.75;
const PALE_SHARE = 0.15;
const LARGEST_OPENING = 0.25;
const LEAST_INK = 0.03;
const LONGEST_SIDE = 1024;

/** Where the mask came from. */
export type MaskOrigin = 'transparency' | 'paper' | 'saliency';

export interface Figure {
  /** Three channels of bytes, no side longer than 1024 pixels. */
  readonly picture: Raster;
  /** One connected part. */
  readonly mask: Bits;
  readonly origin: MaskOrigin;
  /** What was done to the mask that a user should know. */
  readonly notes: readonly string[];
}

/** Probability that each pixel of a picture (three channels of bytes) belongs to what is salient. */
export type Saliency = (picture: Raster) => Promise<Float32Array>;

export async function findFigure(picture: Picture, saliency: Saliency | null): Promise<Figure> {
  const whole = overWhite(picture);
  const alpha = opaque(picture);
  if (alpha !== null) {
    const share = shrunk({ ...alpha, channels: 1, data: Float32Array.from(alpha.data) });
    const bits = bitsWhere(share, (i) => share.data[i]! >= 0.5);
    return { picture: shrunk(whole), origin: 'transparency', ...cleanMask(bits) };
  }
  const small = shrunk(whole);
  const { bits, origin } = await found(small, saliency);
  return { picture: small, origin, ...cleanMask(bits) };
}

function overWhite(picture: Picture): Raster {
  const { width, height } = picture;
  const row = new Float32Array(3 * width);
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    picture.readRow(y, 0, width, row);
    for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) data[3 * (y * width + x) + c] = row[c * width + x]!;
  }
  return { width, height, channels: 3, data };
}

/** Opaque pixels, or null where nothing is transparent. */
function opaque({ width, height, bytes }: Picture): Bits | null {
  if (bytes.length !== 4 * width * height) return null;
  const bits = bitsWhere({ width, height }, (i) => bytes[4 * i + 3]! >= 128);
  return countBits(bits) === width * height ? null : bits;
}

function shrunk(picture: Raster): Raster {
  const scale = LONGEST_SIDE / Math.max(picture.width, picture.height);
  if (scale >= 1) return picture;
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
  return (picture.channels === 1 ? resized : resizedBytes)(picture, width!, height!, area);
}

async function found(picture: Raster, saliency: Saliency | null): Promise<{ bits: Bits; origin: MaskOrigin }> {
  let bits: Bits;
  try {
    bits = figureOnPaper(picture);
  } catch (error) {
    // A network sees something in an empty page, too.
    if (error instanceof NoFigure || error instanceof Blank) throw error;
    if (!(error instanceof BadInput) || saliency === null) throw error;
    const salient = await saliency(picture);
    refuseScraps(bitsWhere(picture, (i) => salient[i]! >= 0.5));
    return { bits: refined(picture, salient), origin: 'saliency' };
  }
  return { bits: saliency === null ? bits : agreed(bits, picture, await saliency(picture)), origin: 'paper' };
}

/** Only scraps stand out in a photograph of a landscape or of nothing. */
function refuseScraps(region: Bits): void {
  const { sizes } = partsOf(region, false);
  const largest = Math.max(0, ...sizes.slice(1)) / region.data.length;
  if (largest >= SMALLEST_IN_PHOTO) return;
  throw new BadInput(
    `no figure found: what stands out most in the picture covers ${(100 * largest).toFixed(1)} % of it; allowed ` +
      `without plain paper: ${100 * SMALLEST_IN_PHOTO} % or more; crop the picture to the figure`,
  );
}

/**
 * The most salient of several parts of the ink, and what is pale inside it: white shirts differ too little from paper.
 * A network also sees the paper between a tail and a back: what ink hardly encloses, and nothing is drawn on, stays out.
 */
function agreed(bits: Bits, picture: Raster, salient: Float32Array): Bits {
  const { labels, sizes } = partsOf(bits, true);
  if (sizes.length === 1) return bits;
  const most = Math.max(...sizes.slice(1));
  const weights = sizes.map(() => 0);
  labels.forEach((part, i) => (weights[part]! += salient[i]!));
  let best = 0;
  for (let part = 1; part < sizes.length; part++)
    if (sizes[part]! > SECOND_PART * most && (best === 0 || weights[part]! > weights[best]!)) best = part;
  const part = weights[best]! > 0 ? bitsWhere(bits, (i) => labels[i] === best) : bits;
  let [held, pale] = [0, 0];
  part.data.forEach((set, i) => {
    if (salient[i]! < 0.5) return;
    if (set) held++;
    else pale++;
  });
  const size = countBits(part);
  if (held < INK_IN_REGION * size || pale < PALE_SHARE * size) return part;
  const region = refined(picture, salient);
  const inside = belonging(
    bitsWhere(part, (i) => region.data[i] === 1 && !part.data[i]),
    part,
    bits,
  );
  // Not gaps between paws alone.
  if (countBits(inside) < PALE_SHARE * size) return part;
  return bitsWhere(part, (i) => part.data[i] === 1 || inside.data[i] === 1);
}

/** The pieces of `pale` whose outline mostly lies along `part`, or that hold further ink, as a body below a head. */
function belonging(pale: Bits, part: Bits, ink: Bits): Bits {
  const { width, height, data } = pale;
  const { labels, sizes } = partsOf(pale, false);
  const [sides, opened, held] = [sizes.map(() => 0), sizes.map(() => 0), sizes.map(() => 0)];
  const count = (piece: number, x: number, y: number): void => {
    const inside = x >= 0 && y >= 0 && x < width && y < height;
    const at = y * width + x;
    if (inside && data[at]) return;
    sides[piece]!++;
    if (!inside || !part.data[at]) opened[piece]!++;
  };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!data[i]) continue;
      if (ink.data[i]) held[labels[i]!]!++;
      count(labels[i]!, x + 1, y);
      count(labels[i]!, x - 1, y);
      count(labels[i]!, x, y + 1);
      count(labels[i]!, x, y - 1);
    }
  }
  const kept = sizes.map(
    (size, piece) => held[piece]! >= LEAST_INK * size || opened[piece]! <= LARGEST_OPENING * sides[piece]!,
  );
  return bitsWhere(part, (i) => data[i] === 1 && kept[labels[i]!]!);
}

/** The largest part, without pinholes; holes that belong to the figure (an arm on the hip) stay. */
export function cleanMask(mask: Bits): { mask: Bits; notes: string[] } {
  const share = countBits(mask) / mask.data.length;
  if (share === 0) throw new BadInput('no figure found: the mask is empty; allowed: a picture that shows a figure');
  if (share > LARGEST_SHARE) {
    throw new BadInput(`the figure fills ${Math.round(100 * share)} % of the picture; allowed: up to 98 %`);
  }
  const parts = partsOf(mask, true);
  const best = largestPart(parts);
  const others = parts.sizes.filter(
    (size, part) => part > 0 && part !== best && size > SECOND_PART * parts.sizes[best]!,
  );
  const notes: string[] = [];
  if (others.length > 0) notes.push(`the mask has ${others.length + 1} large parts; the largest is used`);
  else if (parts.sizes.length > 2) notes.push(`${parts.sizes.length - 2} small parts of the mask are left out`);
  let figure = bitsWhere(mask, (i) => parts.labels[i] === best);
  const thick = thickEnough(figure);
  if (thick !== figure) notes.push('the figure is a thin line; it was thickened to be animated');
  figure = thick;
  const size = countBits(figure);
  if (size < SMALLEST_SHARE * mask.data.length) {
    const percent = ((100 * size) / mask.data.length).toFixed(2);
    throw new BadInput(`the figure covers ${percent} % of the picture; allowed: 0.5 % or more; crop the picture`);
  }
  return { mask: withoutPinholes(figure, size), notes: [...notes, ...doubts(figure)] };
}

function withoutPinholes(figure: Bits, size: number): Bits {
  const { width, height } = figure;
  const outside = bitsWhere(figure, (i) => !figure.data[i]);
  const { labels, sizes } = partsOf(outside, false);
  const border = new Set<number>();
  for (let x = 0; x < width; x++) border.add(labels[x]!).add(labels[(height - 1) * width + x]!);
  for (let y = 0; y < height; y++) border.add(labels[y * width]!).add(labels[y * width + width - 1]!);
  const pinhole = sizes.map((count, hole) => hole > 0 && !border.has(hole) && count < 0.01 * size);
  return bitsWhere(figure, (i) => figure.data[i] === 1 || pinhole[labels[i]!]!);
}

/** Notes on a figure that is cut off or tiny. */
function doubts(figure: Bits): string[] {
  const { width, height, data } = figure;
  const notes: string[] = [];
  const edges = [0, 0, 0, 0];
  for (let x = 0; x < width; x++) {
    edges[0]! += data[x]! / width;
    edges[1]! += data[(height - 1) * width + x]! / width;
  }
  for (let y = 0; y < height; y++) {
    edges[2]! += data[y * width]! / height;
    edges[3]! += data[y * width + width - 1]! / height;
  }
  if (edges.some((share) => share > CUT))
    notes.push("the figure reaches the picture's border; what is cut off there doesn't move");
  const { x0, x1, y0, y1 } = boundsOf(figure)!;
  const size = Math.max(x1 - x0, y1 - y0) + 1;
  if (size < SMALLEST_SHARP) {
    notes.push(`the figure is ${size} pixels large; from ${SMALLEST_SHARP} on its outline is sharp enough for limbs`);
  }
  return notes;
}

/** A figure that is a line everywhere, thickened to about a fiftieth of its size. */
function thickEnough(mask: Bits): Bits {
  const { x0, x1, y0, y1 } = boundsOf(mask)!;
  const size = Math.max(x1 - x0, y1 - y0) + 1;
  const thickness = chamfer(mask, 5).reduce((a, b) => Math.max(a, b), 0);
  const wanted = Math.max(2, size / 100);
  if (thickness >= wanted) return mask;
  return dilate(mask, disc(2 * (Math.ceil(wanted - thickness) + 1) + 1));
}

/** The mask of a drawing on paper, by its ink, as reference/animation/figure/paper.py finds it. */
import { BadInput } from '../bundle/errors';
import {
  bitsWhere,
  chamfer,
  countBits,
  cropBits,
  dilate,
  erode,
  fillHoles,
  largestPart,
  newBits,
  partsOf,
  rectangle,
  type Bits,
} from './grids';
import { paperPlane, smoothPaper, toLab, type Lab } from './paper_colour';
import { withoutRules } from './paper_rules';
import { area, cubic, linear, resized, type Raster } from './resampling';

/** The picture is on paper and shows no figure: no network need be asked. */
export class NoFigure extends BadInput {}

/** Nothing in the picture differs from its background. */
export class Blank extends BadInput {}

const MOST_OF_INK = 0.8;
const COLOURED = 0.6;
const THICK = 8;
const BRIDGED = [0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36];
const MARKS_OF_TEXT = 80;
const LARGEST_OF_TEXT = 0.05;
const INK_AT_BORDER = 0.12;
const MOST_INK = 0.45;
const DARKEST_PAPER = 35;
const CLOSE = 6;
const LIMB_OF_INK = 0.05;
const BRIDGED_APART = 4;
const SIDE = 512;

/** What differs from the paper's colour, with its outlines filled; the picture has three channels of bytes. */
export function figureOnPaper(picture: Raster): Bits {
  const scale = SIDE / Math.max(picture.width, picture.height);
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(8, Math.round(side * scale)));
  const lab = toLab(resized(picture, width!, height!, scale < 1 ? area : cubic));
  const ink = withoutRules(findInk(lab), lab);
  if (countBits(ink) === 0) {
    throw new Blank('nothing in the picture differs from its background; allowed: a drawing on paper');
  }
  const filled = filledOutline(ink);
  const full = resized({ ...filled, channels: 1 }, picture.width, picture.height, linear);
  return bitsWhere(picture, (i) => full.data[i]! >= 0.4); // a pen stroke of a pixel must not fade
}

function findInk(lab: Lab): Bits {
  const paper = paperPlane(lab);
  let ink = paper ? differs(lab, paper) : newBits(lab.width, lab.height);
  if (paper === null || atBorder(ink) > INK_AT_BORDER) {
    const smooth = smoothPaper(lab);
    const other = differs(lab, smooth);
    const share = countBits(other) / other.data.length;
    let darkest = Infinity;
    for (let i = 0; i < smooth.data.length; i += 3) darkest = Math.min(darkest, smooth.data[i]!);
    if (atBorder(other) < INK_AT_BORDER && share > 0 && share < MOST_INK && darkest > DARKEST_PAPER) ink = other;
    else if (paper === null) {
      throw new BadInput(
        'the picture has no plain background; allowed without a saliency bundle: drawings on paper, or a PNG with ' +
          'transparency',
      );
    }
  }
  const { width, height } = ink;
  return bitsWhere(ink, (i) => {
    const x = i % width;
    const inner = x > 0 && x < width - 1 && i >= width && i < (height - 1) * width;
    return inner && ink.data[i] === 1;
  });
}

/** Share of ink in the third row and column from each side. */
function atBorder({ width, height, data }: Bits): number {
  let total = 0;
  for (let x = 0; x < width; x++) total += data[2 * width + x]! + data[(height - 3) * width + x]!;
  for (let y = 0; y < height; y++) total += data[y * width + 2]! + data[y * width + width - 3]!;
  return total / (2 * (width + height));
}

function differs(lab: Lab, paper: Lab): Bits {
  const levels = new Uint8Array(lab.width * lab.height);
  for (let i = 0; i < levels.length; i++) {
    const l = lab.data[3 * i]! - paper.data[3 * i]!;
    const a = lab.data[3 * i + 1]! - paper.data[3 * i + 1]!;
    const b = lab.data[3 * i + 2]! - paper.data[3 * i + 2]!;
    levels[i] = Math.min(Math.sqrt(l * l + a * a + b * b) * 2.5, 255);
  }
  const threshold = Math.max(Math.min(otsu(levels), 70), 20); // Otsu alone takes only the darkest of several colours
  return bitsWhere(lab, (i) => levels[i]! > threshold);
}

function otsu(levels: Uint8Array): number {
  const counts = new Float64Array(256);
  for (const level of levels) counts[level]!++;
  const mean = counts.reduce((sum, count, level) => sum + count * level, 0) / levels.length;
  let [below, sumBelow, best, found] = [0, 0, 0, 0];
  for (let level = 0; level < 256; level++) {
    below += counts[level]! / levels.length;
    sumBelow += (level * counts[level]!) / levels.length;
    if (Math.min(below, 1 - below) < 1e-7) continue;
    const spread = below * (1 - below) * (sumBelow / below - (mean - sumBelow) / (1 - below)) ** 2;
    if (spread > best) [best, found] = [spread, level];
  }
  return found;
}

/** Gaps are bridged as far as needed for one figure that holds most of the ink, with the limbs near it. */
function filledOutline(ink: Bits): Bits {
  if (thickShare(ink) > COLOURED) return dilate(erode(ink, rectangle(3, 3), 0), rectangle(3, 3));
  refuseText(ink);
  const all = countBits(ink);
  const found: { figure: Bits; radius: number; size: number; enclosed: number; held: number }[] = [];
  for (const radius of BRIDGED) {
    const closed = closedBy(ink, radius);
    const { labels } = partsOf(fillHoles(closed), true);
    const held: number[] = [0];
    ink.data.forEach((set, i) => {
      if (set) held[labels[i]!] = (held[labels[i]!] ?? 0) + 1;
    });
    const most = held.reduce((best, count, part) => ((count ?? 0) > (held[best] ?? 0) ? part : best), 0);
    if ((held[most] ?? 0) < MOST_OF_INK * all) continue;
    const figure = bitsWhere(ink, (i) => labels[i] === most);
    const enclosed = figure.data.reduce((sum, set, i) => sum + (set && !closed.data[i] ? 1 : 0), 0);
    found.push({ figure, radius, size: countBits(figure), enclosed, held: held[most]! / all });
  }
  if (found.length === 0) return fillHoles(closedBy(ink, BRIDGED_APART)); // several figures, or strokes far apart
  const most = Math.max(...found.map((option) => option.enclosed));
  const near = Math.max(0, ...found.filter(({ radius }) => radius <= CLOSE).map((option) => option.held));
  const whole = found.find(
    ({ size, enclosed, held }) => (enclosed >= most / 2 || most < 0.2 * size) && held > near - LIMB_OF_INK,
  );
  return (whole ?? found[found.length - 1]!).figure;
}

function refuseText(ink: Bits): void {
  const parts = partsOf(ink, true);
  const count = parts.sizes.length - 1;
  if (count >= MARKS_OF_TEXT && parts.sizes[largestPart(parts)]! < LARGEST_OF_TEXT * countBits(ink)) {
    throw new NoFigure(
      `the picture shows ${count} separate marks, as a page of text does; allowed: a figure; crop the picture to it`,
    );
  }
}

/** Share of the ink that no pen's line holds: it lies within discs of THICK pixels' radius. */
function thickShare(ink: Bits): number {
  const inside = chamfer(ink, 5);
  const grown = chamfer(
    bitsWhere(ink, (i) => inside[i]! <= THICK),
    5,
  );
  return countBits(bitsWhere(ink, (i) => grown[i]! <= THICK && ink.data[i] === 1)) / countBits(ink);
}

/** Morphological closing by a disc, through distances. */
function closedBy(ink: Bits, radius: number): Bits {
  if (radius === 0) return ink;
  const margin = radius + 2;
  const padded = cropBits(ink, -margin, -margin, ink.width + 2 * margin, ink.height + 2 * margin);
  const toInk = chamfer(
    bitsWhere(padded, (i) => !padded.data[i]),
    5,
  );
  const within = chamfer(
    bitsWhere(padded, (i) => toInk[i]! <= radius),
    5,
  );
  const closed = bitsWhere(padded, (i) => within[i]! > radius || padded.data[i] === 1);
  return cropBits(closed, margin, margin, ink.width, ink.height);
}

/** Ink without the lines that paper comes with: straight, thin, from side to side. */
import {
  bitsWhere,
  chamfer,
  countBits,
  dilate,
  disc,
  erode,
  newBits,
  partsOf,
  rectangle,
  type Bits,
  type Kernel,
} from './grids';
import { quantile, type Lab } from './paper_colour';

const RULE_COLOURS = 25;
const LEAST_RULES = 3;

export function withoutRules(ink: Bits, lab: Lab): Bits {
  const level = rulesOf(ink);
  const upright = turned(rulesOf(turned(ink)));
  const rules = bitsWhere(ink, (i) => level.data[i] === 1 || upright.data[i] === 1);
  if (countBits(rules) === 0) return ink;
  // Strokes that cross a rule are seen by their colour, or joined again where they have the same.
  const colour = [0, 1, 2].map((c) => {
    const values: number[] = [];
    rules.data.forEach((set, i) => set && values.push(lab.data[3 * i + c]!));
    return quantile(values, 0.5);
  });
  const apart = (i: number): number => Math.hypot(...colour.map((value, c) => lab.data[3 * i + c]! - value));
  const rest = bitsWhere(ink, (i) => ink.data[i] === 1 && !(rules.data[i] && apart(i) < RULE_COLOURS));
  const closed = erode(dilate(rest, disc(9)), disc(9), 1);
  return bitsWhere(ink, (i) => closed.data[i] === 1 && ink.data[i] === 1);
}

function turned({ width, height, data }: Bits): Bits {
  return bitsWhere({ width: height, height: width }, (i) => data[(i % height) * width + Math.floor(i / height)] === 1);
}

/** Pixels of lines that run across the picture, up to 4 degrees from level; none if they are few. */
function rulesOf(ink: Bits): Bits {
  const { width, height } = ink;
  const reach = Math.floor(width / 10);
  const found = newBits(width, height);
  for (let degrees = -4; degrees <= 4; degrees++) {
    const slope = Math.tan((degrees * Math.PI) / 180);
    const rise = Math.abs(Math.round(slope * reach));
    const rows = lineRows(reach, slope >= 0 ? rise : -rise);
    dilate(erode(ink, rows, 1), rows).data.forEach((set, i) => {
      if (set) found.data[i] = 1;
    });
  }
  const inside = chamfer(ink, 3);
  const thin = bitsWhere(ink, (i) => found.data[i] === 1 && inside[i]! <= 3);
  const { labels, sizes } = partsOf(dilate(thin, rectangle(15, 1)), true);
  const boxes = sizes.map(() => ({ x0: width, x1: -1, y0: height, y1: -1 }));
  labels.forEach((part, i) => {
    const [x, y, box] = [i % width, Math.floor(i / width), boxes[part]!];
    [box.x0, box.x1] = [Math.min(box.x0, x), Math.max(box.x1, x)];
    [box.y0, box.y1] = [Math.min(box.y0, y), Math.max(box.y1, y)];
  });
  const across = boxes.map((b, n) => n > 0 && b.x1 - b.x0 + 1 > 0.7 * width && b.y1 - b.y0 + 1 < 0.12 * height);
  if (across.filter(Boolean).length < LEAST_RULES) return newBits(width, height);
  const rules = dilate(
    bitsWhere(ink, (i) => across[labels[i]!]! && found.data[i] === 1),
    rectangle(3, 3),
  );
  return bitsWhere(ink, (i) => rules.data[i] === 1 && ink.data[i] === 1);
}

/** A line's pixels in a box that it crosses from side to side, as rows from the box's middle. */
function lineRows(reach: number, rise: number): Kernel {
  const height = Math.abs(rise) + 1;
  const rows: { dx: number; dy: number; length: number }[] = [];
  for (let x = 0; x < reach; x++) {
    const along = (x * rise) / Math.max(reach - 1, 1);
    const dy = Math.round(rise >= 0 ? along : along - rise) - (height >> 1);
    if (rows.at(-1)?.dy === dy) rows.at(-1)!.length++;
    else rows.push({ dx: x - (reach >> 1), dy, length: 1 });
  }
  return rows;
}

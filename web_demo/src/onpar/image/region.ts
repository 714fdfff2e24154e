/** The part of a picture that a network sees, and the way back: rule 2 of reference/inputs/preprocess.py. */
import { BadInput } from '../bundle/errors';
import type { PreprocessSpec } from '../bundle/manifest';

/** x0, y0, x1, y1 in pixels. */
export type Box = readonly [number, number, number, number];

/** The rectangle of the picture that the network sees, in pixels; (0, 0) is the picture's outer corner. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Rule 2: the region with the network's aspect ratio. */
export function chooseRegion(
  width: number,
  height: number,
  spec: PreprocessSpec,
  box?: Box | null,
  boxGrow = spec.boxGrow,
): Region {
  let [left, top, right, bottom] = [0, 0, width, height];
  if (box) {
    const [x0, y0, x1, y1] = box;
    if (!(x0 < x1 && y0 < y1 && x0 < width && y0 < height && x1 > 0 && y1 > 0)) {
      throw new BadInput(`box is ${box}; allowed: x0 < x1, y0 < y1, inside the ${width}x${height} picture`);
    }
    const growX = boxGrow * (x1 - x0);
    const growY = boxGrow * (y1 - y0);
    [left, right] = [Math.max(0, x0 - growX), Math.min(width, x1 + growX)];
    [top, bottom] = [Math.max(0, y0 - growY), Math.min(height, y1 + growY)];
  }
  const w = right - left;
  const h = bottom - top;
  if (spec.resize === 'stretch') return { left, top, width: w, height: h };
  const pick = spec.resize === 'cover' ? Math.min : Math.max;
  const scale = pick(w / spec.size[1], h / spec.size[0]);
  const [w2, h2] = [scale * spec.size[1], scale * spec.size[0]];
  return { left: left + (w - w2) / 2, top: top + (h - h2) / 2, width: w2, height: h2 };
}

/** Fractions of the region to pixels. */
export function toPicture(fractions: Float32Array, region: Region): Float32Array {
  return fractions.map(
    (value, i) => (i % 2 === 0 ? value * region.width + region.left : value * region.height + region.top) - 0.5,
  );
}

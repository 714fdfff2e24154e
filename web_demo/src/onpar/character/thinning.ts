/** Figures thinned to lines one pixel wide. */
import { newBits, type Bits } from './grids';

/**
 * In which of two passes a pixel is taken away, by which of its neighbours are set (1 north-west, 2 north, clockwise to
 * 128 west): 0 none, 1 the first, 2 the second, 3 both. Rules of Zhang and Suen (1984) as scikit-image applies them.
 */
const PASSES =
  '0001001300111013000000002020303300000000300000000000000020003022000000000000000000000000000000002000000020002000' +
  '3000000030003020003100130000000100000000000000013100000000000000200000000000000023130013000000010000000000000000' +
  '23010001000000003301000022002000';

export function thinned({ width, height, data }: Bits): Bits {
  const wide = width + 2;
  const padded = new Uint8Array(wide * (height + 2));
  for (let y = 0; y < height; y++) padded.set(data.subarray(y * width, (y + 1) * width), (y + 1) * wide + 1);
  const passes = Uint8Array.from(PASSES, Number);
  const around = [-wide - 1, -wide, -wide + 1, 1, wide + 1, wide, wide - 1, -1];
  const codeOf = (i: number): number => {
    let code = 0;
    for (let k = 0; k < 8; k++) if (padded[i + around[k]!]) code |= 1 << k;
    return code;
  };
  // Pixels at the figure's edge; what has all its neighbours stays until one of them goes.
  const atEdge = new Uint8Array(padded.length);
  let edge: number[] = [];
  const look = (i: number): void => {
    if (!padded[i] || atEdge[i] || codeOf(i) === 255) return;
    atEdge[i] = 1;
    edge.push(i);
  };
  for (let i = wide; i < padded.length - wide; i++) look(i);
  for (let changed = true; changed;) {
    changed = false;
    for (const pass of [1, 2]) {
      const gone: number[] = [];
      for (const i of edge) if (passes[codeOf(i)]! & pass) gone.push(i);
      if (gone.length === 0) continue;
      changed = true;
      for (const i of gone) padded[i] = 0;
      edge = edge.filter((i) => padded[i]);
      for (const i of gone) for (const step of around) look(i + step);
    }
  }
  const lines = newBits(width, height);
  for (let y = 0; y < height; y++)
    lines.data.set(padded.subarray((y + 1) * wide + 1, (y + 1) * wide + 1 + width), y * width);
  return lines;
}

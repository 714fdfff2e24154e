/** Reads the 16-bit grey PNG files of depth maps, which a canvas would cut to 8 bits. */
import { BadInput } from '../bundle/errors';
import { DepthMap } from './depth_map';

/** A depth map from a PNG file: 16-bit grey, not interlaced, in millimetres. */
export async function decodeDepthPng(content: Uint8Array<ArrayBuffer>): Promise<DepthMap> {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  if (content.length < 33 || view.getUint32(0) !== 0x89504e47 || view.getUint32(12) !== 0x49484452) {
    throw new BadInput('the file is no PNG; a depth map is a 16-bit grey PNG in millimetres');
  }
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const [bits, color, interlaced] = [view.getUint8(24), view.getUint8(25), view.getUint8(28)];
  if (bits !== 16 || color !== 0 || interlaced !== 0) {
    throw new BadInput(`the PNG has ${bits} bits, colour type ${color}; a depth map is 16-bit grey, not interlaced`);
  }
  const rows = unfilter(await inflate(pixelChunks(content, view)), width * 2, height);
  const values = new Uint16Array(width * height);
  for (let i = 0; i < values.length; i++) values[i] = (rows[2 * i]! << 8) | rows[2 * i + 1]!;
  return new DepthMap(width, height, values);
}

/** Is it a 16-bit grey PNG, by its header? */
export function isDepthPng(content: Uint8Array): boolean {
  return content[0] === 0x89 && content[1] === 0x50 && content[24] === 16 && content[25] === 0;
}

function pixelChunks(content: Uint8Array<ArrayBuffer>, view: DataView): Blob {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 8; at + 12 <= content.length;) {
    const length = view.getUint32(at);
    if (view.getUint32(at + 4) === 0x49444154) parts.push(content.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return new Blob(parts);
}

async function inflate(packed: Blob): Promise<Uint8Array> {
  try {
    const stream = packed.stream().pipeThrough(new DecompressionStream('deflate'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new BadInput('the PNG is damaged; give the file again');
  }
}

/** Undo the filter of each row (PNG, chapter 9) with two bytes a pixel. */
function unfilter(packed: Uint8Array, stride: number, height: number): Uint8Array {
  const pixel = 2;
  if (packed.length < height * (stride + 1))
    throw new BadInput('the PNG is damaged: rows are missing; give the file again');
  const rows = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const filter = packed[y * (stride + 1)]!;
    if (filter > 4)
      throw new BadInput(`the PNG is damaged: row ${y} has filter ${filter}; allowed: 0 to 4; give the file again`);
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x >= pixel ? rows[at - pixel]! : 0;
      const up = y > 0 ? rows[at - stride]! : 0;
      const corner = x >= pixel && y > 0 ? rows[at - stride - pixel]! : 0;
      const predicted = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter]!;
      rows[at] = packed[y * (stride + 1) + 1 + x]! + predicted;
    }
  }
  return rows;
}

function paeth(left: number, up: number, corner: number): number {
  const estimate = left + up - corner;
  const [l, u, c] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - corner)];
  return l <= u && l <= c ? left : u <= c ? up : corner;
}

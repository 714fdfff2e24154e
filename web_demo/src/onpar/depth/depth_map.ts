/** What a depth camera or a 16-bit PNG file gives. */
import { BadInput } from '../bundle/errors';
import { checkSize } from '../image/pixels';

/** Distances in millimetres from the viewer, 0 where nothing was measured. */
export class DepthMap {
  constructor(
    readonly width: number,
    readonly height: number,
    readonly millimetres: Uint16Array,
  ) {
    checkSize(width, height);
    if (millimetres.length !== width * height) {
      throw new BadInput(`depth map has ${millimetres.length} values; ${width}x${height} pixels need one each`);
    }
  }
}

/** From a depth map to the input tensor: reference/inputs/preprocess.py. */
import { BadInput } from '../bundle/errors';
import type { PreprocessSpec } from '../bundle/manifest';
import { chooseRegion, type Box, type Region } from '../image/region';
import type { DepthMap } from './depth_map';

const OBJECT_MARGIN = 0.03;
/** The farthest pixel keeps this value; 0 means "no measurement". */
const FARTHEST_VALUE = 1 / 16;

/** Input tensor (1, 1, H, W) in [0, 1] of a depth map, and the region it shows; without a box, all that was measured. */
export function preprocessDepth(
  depth: DepthMap,
  spec: PreprocessSpec,
  box?: Box | null,
): { tensor: Float32Array; region: Region } {
  const region = box
    ? chooseRegion(depth.width, depth.height, spec, box)
    : chooseRegion(depth.width, depth.height, spec, measuredBox(depth), OBJECT_MARGIN);
  const rows = nearestIndices(region.top, region.height, spec.size[0], depth.height);
  const columns = nearestIndices(region.left, region.width, spec.size[1], depth.width);
  const cut = new Uint16Array(rows.length * columns.length);
  rows.forEach((y, i) =>
    columns.forEach((x, j) => {
      if (x >= 0 && y >= 0) cut[i * columns.length + j] = depth.millimetres[y * depth.width + x]!;
    }),
  );
  return { tensor: normalizeDepth(cut, region), region };
}

function normalizeDepth(cut: Uint16Array, region: Region): Float32Array {
  let near = Infinity;
  let far = 0;
  for (const value of cut) {
    if (value > 0 && value < near) near = value;
    if (value > far) far = value;
  }
  if (far === 0) {
    throw new BadInput(
      `the depth map is 0 inside ${JSON.stringify(region)}; choose a box where distances were measured`,
    );
  }
  const extent = far > near ? far - near : 1;
  return Float32Array.from(cut, (value) => (value > 0 ? 1 - ((value - near) / extent) * (1 - FARTHEST_VALUE) : 0));
}

function measuredBox(depth: DepthMap): Box {
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  depth.millimetres.forEach((value, i) => {
    if (value === 0) return;
    const x = i % depth.width;
    const y = (i - x) / depth.width;
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  });
  if (right < 0) throw new BadInput('the depth map is 0 everywhere; give a map with distances in millimetres');
  return [left, top, right + 1, bottom + 1];
}

function nearestIndices(start: number, length: number, size: number, pixels: number): number[] {
  return Array.from({ length: size }, (_, i) => {
    const position = Math.floor(start + (i + 0.5) * (length / size));
    return position >= 0 && position < pixels ? position : -1;
  });
}

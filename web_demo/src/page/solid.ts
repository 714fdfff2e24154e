/** A solid of voxels as a shaded picture that can be turned. */
import type { VoxelGrid } from '../onpar';

const BACKGROUND = [24, 28, 44] as const;
const COLOR = [222, 196, 168] as const;

/** Voxels at the surface with the direction that they face. */
export class Solid {
  readonly #points: Float32Array;
  /** Largest distance from the middle, so that the solid fills the picture however it is turned. */
  readonly #radius: number;

  constructor({ size, occupancy, threshold }: VoxelGrid) {
    const smooth = blur(occupancy, size);
    const found: number[] = [];
    const filled = (z: number, y: number, x: number): boolean =>
      z >= 0 && y >= 0 && x >= 0 && z < size && y < size && x < size && occupancy[(z * size + y) * size + x]! >= threshold;
    const level = (z: number, y: number, x: number): number => smooth[(clamp(z, size) * size + clamp(y, size)) * size + clamp(x, size)]!;
    for (let z = 0; z < size; z++) for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
      if (!filled(z, y, x)) continue;
      if (filled(z - 1, y, x) && filled(z + 1, y, x) && filled(z, y - 1, x) && filled(z, y + 1, x) && filled(z, y, x - 1) && filled(z, y, x + 1)) continue;
      const nx = level(z, y, x - 2) - level(z, y, x + 2);
      const ny = level(z, y - 2, x) - level(z, y + 2, x);
      const nz = level(z - 2, y, x) - level(z + 2, y, x);
      const length = Math.hypot(nx, ny, nz) || 1;
      found.push(x, y, z, nx / length, ny / length, nz / length);
    }
    this.#points = centered(found);
    this.#radius = this.#points.reduce((most, _, i, p) => (i % 6 ? most : Math.max(most, Math.hypot(p[i]!, p[i + 2]!), Math.abs(p[i + 1]!))), 1);
  }

  /** Draw it turned by an angle around the vertical axis. */
  draw(canvas: HTMLCanvasElement, degrees: number): void {
    const side = 520;
    [canvas.width, canvas.height] = [side, side];
    const pixels = new ImageData(side, side);
    for (let i = 0; i < side * side; i++) pixels.data.set([...BACKGROUND, 255], 4 * i);
    const depth = new Float32Array(side * side).fill(Infinity);
    const scale = side / (this.#radius * 2.15);
    const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
    const p = this.#points;
    const half = Math.ceil(scale * 0.75);
    for (let i = 0; i < p.length; i += 6) {
      const z = p[i + 2]! * cos - p[i]! * sin;
      const facing = -(p[i + 5]! * cos - p[i + 3]! * sin);
      if (facing < -0.2) continue;
      const sideways = p[i + 3]! * cos + p[i + 5]! * sin;
      const light = 0.28 + 0.72 * Math.max(0, 0.75 * facing - 0.35 * sideways - 0.5 * p[i + 4]!);
      const cx = Math.round((p[i]! * cos + p[i + 2]! * sin) * scale + side / 2);
      const cy = Math.round(p[i + 1]! * scale + side / 2);
      for (let y = cy - half; y <= cy + half; y++) for (let x = cx - half; x <= cx + half; x++) {
        const at = y * side + x;
        if (x < 0 || y < 0 || x >= side || y >= side || z >= depth[at]!) continue;
        depth[at] = z;
        for (let c = 0; c < 3; c++) pixels.data[4 * at + c] = COLOR[c]! * Math.min(1, light);
      }
    }
    canvas.getContext('2d')!.putImageData(pixels, 0, 0);
  }
}

/** Positions with the middle of their extent at 0; every sixth value begins a point. */
function centered(found: readonly number[]): Float32Array {
  const points = Float32Array.from(found);
  for (let axis = 0; axis < 3; axis++) {
    let [low, high] = [Infinity, -Infinity];
    for (let i = axis; i < points.length; i += 6) [low, high] = [Math.min(low, points[i]!), Math.max(high, points[i]!)];
    for (let i = axis; i < points.length; i += 6) points[i]! -= (low + high) / 2;
  }
  return points;
}

function clamp(value: number, size: number): number {
  return Math.min(Math.max(value, 0), size - 1);
}

/** Three-tap mean along each axis, so that the direction of a surface does not jump from voxel to voxel. */
function blur(values: Float32Array, size: number): Float32Array {
  let current = values;
  for (const step of [1, size, size * size, 1, size, size * size]) {
    const next = new Float32Array(current.length);
    for (let i = 0; i < current.length; i++) {
      const at = Math.floor(i / step) % size;
      next[i] = (current[i]! + current[at > 0 ? i - step : i]! + current[at < size - 1 ? i + step : i]!) / 3;
    }
    current = next;
  }
  return current;
}

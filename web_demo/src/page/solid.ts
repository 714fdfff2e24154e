/** A solid of voxels as a shaded picture that can be turned: rays through the smoothed grid, seen from the front. */
import type { VoxelGrid } from '../onpar';

const SIDE = 440;
const LARGEST_GRID = 96;
const BACKGROUND = [24, 28, 44] as const;
const COLOR = [226, 202, 176] as const;
/** Towards the light: up, a little to the left, towards the viewer. */
const LIGHT = [-0.42, -0.55, -0.72] as const;

export class Solid {
  readonly #field: Float32Array;
  readonly #size: number;
  readonly #level: number;
  readonly #middle: readonly [number, number, number];
  readonly #radius: number;

  constructor(grid: VoxelGrid) {
    const step = Math.ceil(grid.size / LARGEST_GRID);
    this.#size = Math.floor(grid.size / step);
    this.#field = blur(thin(grid, step, this.#size), this.#size);
    this.#level = grid.threshold;
    [this.#middle, this.#radius] = extent(this.#field, this.#size, this.#level);
  }

  /** Draw it turned by an angle around the vertical axis. */
  draw(canvas: HTMLCanvasElement, degrees: number): void {
    [canvas.width, canvas.height] = [SIDE, SIDE];
    const pixels = new ImageData(SIDE, SIDE);
    const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
    const [mx, my, mz] = this.#middle;
    const scale = (2.2 * this.#radius) / SIDE;
    const reach = Math.ceil(this.#radius * 1.5);
    for (let py = 0; py < SIDE; py++) {
      const y = my + (py - SIDE / 2) * scale;
      for (let px = 0; px < SIDE; px++) {
        const across = (px - SIDE / 2) * scale;
        const x = mx + across * cos - -reach * sin;
        const z = mz + across * sin + -reach * cos;
        const shade = this.#march(x, y, z, -sin, cos, 2 * reach, sin, cos);
        pixels.data.set(shade < 0 ? BACKGROUND : COLOR.map((c) => c * shade), 4 * (py * SIDE + px));
        pixels.data[4 * (py * SIDE + px) + 3] = 255;
      }
    }
    canvas.getContext('2d')!.putImageData(pixels, 0, 0);
  }

  /** Brightness where a ray meets the solid, -1 where it does not. */
  #march(x: number, y: number, z: number, dx: number, dz: number, steps: number, sin: number, cos: number): number {
    for (let t = 0; t < steps; t++) {
      // The nearest voxel is quick to look up, and tells where the exact look is worth its time.
      if (
        this.#near(x + t * dx, y, z + t * dz) < 0.3 * this.#level ||
        this.#at(x + t * dx, y, z + t * dz) < this.#level
      )
        continue;
      let [outside, inside] = [t - 1, t];
      for (let i = 0; i < 7; i++) {
        const middle = (outside + inside) / 2;
        if (this.#at(x + middle * dx, y, z + middle * dz) >= this.#level) inside = middle;
        else outside = middle;
      }
      return this.#shade(x + inside * dx, y, z + inside * dz, sin, cos);
    }
    return -1;
  }

  #shade(x: number, y: number, z: number, sin: number, cos: number): number {
    const gx = this.#at(x - 1, y, z) - this.#at(x + 1, y, z);
    const gy = this.#at(x, y - 1, z) - this.#at(x, y + 1, z);
    const gz = this.#at(x, y, z - 1) - this.#at(x, y, z + 1);
    const length = Math.hypot(gx, gy, gz) || 1;
    // Turned with the solid, so that the light stays with the viewer.
    const [nx, ny, nz] = [(gx * cos + gz * sin) / length, gy / length, (gz * cos - gx * sin) / length];
    return 0.26 + 0.74 * Math.max(0, nx * LIGHT[0] + ny * LIGHT[1] + nz * LIGHT[2]);
  }

  #near(x: number, y: number, z: number): number {
    const size = this.#size;
    const [i, j, k] = [Math.round(z), Math.round(y), Math.round(x)];
    return i < 0 || j < 0 || k < 0 || i >= size || j >= size || k >= size ? 0 : this.#field[(i * size + j) * size + k]!;
  }

  /** Between the voxels, straight in all three directions. */
  #at(x: number, y: number, z: number): number {
    const [x0, y0, z0] = [Math.floor(x), Math.floor(y), Math.floor(z)];
    const [fx, fy, fz] = [x - x0, y - y0, z - z0];
    const along = (j: number, i: number): number => this.#near(x0, j, i) * (1 - fx) + this.#near(x0 + 1, j, i) * fx;
    const plane = (i: number): number => along(y0, i) * (1 - fy) + along(y0 + 1, i) * fy;
    return plane(z0) * (1 - fz) + plane(z0 + 1) * fz;
  }
}

/** Every step-th voxel of a large grid. */
function thin({ occupancy, size }: VoxelGrid, step: number, thinned: number): Float32Array {
  if (step === 1) return Float32Array.from(occupancy, (value) => Math.min(value, 1));
  return Float32Array.from({ length: thinned ** 3 }, (_, i) => {
    const [x, y, z] = [i % thinned, Math.floor(i / thinned) % thinned, Math.floor(i / thinned ** 2)];
    return Math.min(occupancy[((z * size + y) * size + x) * step]!, 1);
  });
}

/** Three-tap mean along each axis, twice. */
function blur(values: Float32Array, size: number): Float32Array {
  let current = values;
  for (const step of [1, size, size * size, 1, size, size * size]) {
    const next = new Float32Array(current.length);
    for (let i = 0; i < current.length; i++) {
      const at = Math.floor(i / step) % size;
      next[i] = (current[i]! + (at > 0 ? current[i - step]! : 0) + (at < size - 1 ? current[i + step]! : 0)) / 3;
    }
    current = next;
  }
  return current;
}

/** Middle (x, y, z) of what is filled, and the distance that it reaches however it is turned. */
function extent(field: Float32Array, size: number, level: number): [readonly [number, number, number], number] {
  const low = [size, size, size];
  const high = [0, 0, 0];
  field.forEach((value, i) => {
    if (value < level) return;
    [i % size, Math.floor(i / size) % size, Math.floor(i / size ** 2)].forEach((at, axis) => {
      low[axis] = Math.min(low[axis]!, at);
      high[axis] = Math.max(high[axis]!, at);
    });
  });
  const half = low.map((value, axis) => Math.max(1, (high[axis]! - value) / 2));
  const middle = low.map((value, axis) => (value + high[axis]!) / 2) as [number, number, number];
  return [middle, Math.max(Math.hypot(half[0]!, half[2]!), half[1]!) + 1];
}

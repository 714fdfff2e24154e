/** Pictures at other sizes and blurred, with the weights of the imaging library that the reference uses. */

/** `channels` numbers a pixel, one after the other. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Float32Array | Float64Array | Uint8Array;
}

interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

type Kernel = (position: number, scale: number, pixels: number) => Taps;

/** The mean over the area that a pixel covers; for pictures that become smaller. */
export const area: Kernel = (position, scale, pixels) => {
  const [low, high] = [position * scale, Math.min((position + 1) * scale, pixels)];
  const first = Math.floor(low + 1e-9);
  const weights: number[] = [];
  for (let p = first; p < high - 1e-9; p++)
    weights.push((Math.min(p + 1, high) - Math.max(p, low)) / Math.max(high - low, 1e-9));
  return { first, weights };
};

export const linear: Kernel = (position, scale) => {
  const centre = (position + 0.5) * scale - 0.5;
  const first = Math.floor(centre);
  return { first, weights: [1 - (centre - first), centre - first] };
};

export const cubic: Kernel = (position, scale) => {
  const centre = (position + 0.5) * scale - 0.5;
  const first = Math.floor(centre);
  const [a, t] = [-0.75, centre - first];
  const near = (d: number): number => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number): number => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return { first: first - 1, weights: [far(1 + t), near(t), near(1 - t), far(2 - t)] };
};

/** A picture at another size; pixels beyond the border count as the nearest inside. */
export function resized(picture: Raster, width: number, height: number, kernel: Kernel): Raster {
  const across = tapsOf(width, picture.width, kernel);
  const down = tapsOf(height, picture.height, kernel);
  const { channels } = picture;
  const rows = new Float32Array(width * picture.height * channels);
  for (let y = 0; y < picture.height; y++) {
    for (let x = 0; x < width; x++) {
      const { first, weights } = across[x]!;
      for (let k = 0; k < weights.length; k++) {
        const from = (y * picture.width + clamp(first + k, picture.width)) * channels;
        for (let c = 0; c < channels; c++)
          rows[(y * width + x) * channels + c]! += weights[k]! * picture.data[from + c]!;
      }
    }
  }
  const data = new Float32Array(width * height * channels);
  const length = width * channels;
  for (let y = 0; y < height; y++) {
    const { first, weights } = down[y]!;
    for (let k = 0; k < weights.length; k++) {
      const from = clamp(first + k, picture.height) * length;
      for (let i = 0; i < length; i++) data[y * length + i]! += weights[k]! * rows[from + i]!;
    }
  }
  return { width, height, channels, data };
}

/** The same, rounded to bytes. */
export function resizedBytes(picture: Raster, width: number, height: number, kernel: Kernel): Raster {
  const { data, ...size } = resized(picture, width, height, kernel);
  return { ...size, data: Uint8Array.from(data, (value) => Math.min(Math.max(Math.round(value), 0), 255)) };
}

function tapsOf(size: number, pixels: number, kernel: Kernel): Taps[] {
  return Array.from({ length: size }, (_, i) => kernel(i, pixels / size, pixels));
}

function clamp(value: number, size: number): number {
  return Math.min(Math.max(value, 0), size - 1);
}

/** Blurred by a Gaussian of `radius` pixels to each side; `edgeTwice`: mirrored beyond the border's pixel, it included. */
export function blurred(
  values: Float32Array | Float64Array,
  width: number,
  height: number,
  sigma: number,
  radius: number,
  edgeTwice: boolean,
): Float64Array {
  const weights = Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)),
  );
  const total = weights.reduce((a, b) => a + b, 0);
  const pass = (from: Float32Array | Float64Array, size: number, step: number, lines: number, next: number) => {
    const out = new Float64Array(width * height);
    const places = Array.from({ length: size + 2 * radius }, (_, i) => mirrored(i - radius, size, edgeTwice) * step);
    for (let line = 0; line < lines; line++) {
      for (let i = 0; i < size; i++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k]! * from[line * next + places[i + k]!]!;
        out[line * next + i * step] = sum / total;
      }
    }
    return out;
  };
  return pass(pass(values, width, 1, height, width), height, width, width, 1);
}

function mirrored(place: number, size: number, edgeTwice: boolean): number {
  if (size === 1) return 0;
  const period = edgeTwice ? 2 * size : 2 * size - 2;
  const at = ((place % period) + period) % period;
  return at < size ? at : edgeTwice ? period - 1 - at : period - at;
}

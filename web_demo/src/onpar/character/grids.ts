/** Grids of bits, row by row: parts, holes, distances, growing and shrinking. */

/** One byte a pixel, 0 or 1. */
export interface Bits {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A kernel's pixels: rows of them, each from its first pixel's steps from the middle. */
export type Kernel = readonly { readonly dx: number; readonly dy: number; readonly length: number }[];

export interface Parts {
  /** Number of the part that a pixel belongs to, 0 for none; parts are numbered in the order of their first pixel. */
  readonly labels: Int32Array;
  /** Pixels of every part; entry 0 counts what belongs to none. */
  readonly sizes: number[];
}

export function newBits(width: number, height: number): Bits {
  return { width, height, data: new Uint8Array(width * height) };
}

/** Pixels for which a rule holds. */
export function bitsWhere({ width, height }: Omit<Bits, 'data'>, rule: (i: number) => boolean): Bits {
  const found = newBits(width, height);
  for (let i = 0; i < found.data.length; i++) if (rule(i)) found.data[i] = 1;
  return found;
}

export function countBits({ data }: Bits): number {
  let total = 0;
  for (let i = 0; i < data.length; i++) total += data[i]!;
  return total;
}

/** First and last row and column with a pixel; null for an empty grid. */
export function boundsOf({ width, height, data }: Bits): { x0: number; y0: number; x1: number; y1: number } | null {
  let [x0, y0, x1, y1] = [width, height, -1, -1];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!data[i]) continue;
      if (x < x0) x0 = x;
      if (x > x1) x1 = x;
      if (y < y0) y0 = y;
      y1 = y;
    }
  }
  return y1 < 0 ? null : { x0, y0, x1, y1 };
}

/** A part of the grid; what lies outside is empty. */
export function cropBits(grid: Bits, left: number, top: number, width: number, height: number): Bits {
  const cut = newBits(width, height);
  for (let y = Math.max(0, -top); y < Math.min(height, grid.height - top); y++)
    for (let x = Math.max(0, -left); x < Math.min(width, grid.width - left); x++)
      cut.data[y * width + x] = grid.data[(y + top) * grid.width + x + left]!;
  return cut;
}

/** Connected parts; corners count as connections if `corners` is set. */
export function partsOf({ width, height, data }: Bits, corners: boolean): Parts {
  const labels = new Int32Array(width * height);
  const sizes = [0];
  const stack = new Int32Array(width * height);
  for (let start = 0; start < data.length; start++) {
    if (!data[start]) sizes[0]!++;
    if (!data[start] || labels[start]) continue;
    const part = sizes.length;
    let [depth, size] = [1, 0];
    stack[0] = start;
    labels[start] = part;
    while (depth > 0) {
      const at = stack[--depth]!;
      size++;
      const x = at % width;
      const y = (at - x) / width;
      for (let dy = -1; dy <= 1; dy++) {
        if (y + dy < 0 || y + dy >= height) continue;
        for (let dx = -1; dx <= 1; dx++) {
          if ((dx && dy && !corners) || x + dx < 0 || x + dx >= width) continue;
          const other = at + dy * width + dx;
          if (!data[other] || labels[other]) continue;
          labels[other] = part;
          stack[depth++] = other;
        }
      }
    }
    sizes.push(size);
  }
  return { labels, sizes };
}

/** Number of the largest part, the first among equals; 0 if there is none. */
export function largestPart({ sizes }: Parts): number {
  let best = 0;
  for (let part = 1; part < sizes.length; part++) if (best === 0 || sizes[part]! > sizes[best]!) best = part;
  return best;
}

/** The grid with every hole filled that no way of upright and level steps leads out of. */
export function fillHoles({ width, height, data }: Bits): Bits {
  const filled = newBits(width, height);
  filled.data.fill(1);
  const stack: number[] = [];
  const visit = (i: number): void => {
    if (data[i] || !filled.data[i]) return;
    filled.data[i] = 0;
    stack.push(i);
  };
  for (let x = 0; x < width; x++) {
    visit(x);
    visit((height - 1) * width + x);
  }
  for (let y = 0; y < height; y++) {
    visit(y * width);
    visit(y * width + width - 1);
  }
  while (stack.length > 0) {
    const at = stack.pop()!;
    const x = at % width;
    if (x > 0) visit(at - 1);
    if (x < width - 1) visit(at + 1);
    if (at >= width) visit(at - width);
    if (at < data.length - width) visit(at + width);
  }
  return filled;
}

/** Every pixel that the kernel reaches from a set one. */
export function dilate({ width, height, data }: Bits, kernel: Kernel): Bits {
  const grown = newBits(width, height);
  const changes = new Int32Array(width + 1);
  for (let y = 0; y < height; y++) {
    changes.fill(0);
    let any = false;
    for (const { dx, dy, length } of kernel) {
      if (y - dy < 0 || y - dy >= height) continue;
      const row = (y - dy) * width;
      for (let x = 0; x < width; x++) {
        if (!data[row + x] || x + dx + length <= 0 || x + dx >= width) continue;
        any = true;
        changes[Math.max(x + dx, 0)]!++;
        changes[Math.min(x + dx + length, width)]!--;
      }
    }
    for (let x = 0, open = 0; any && x < width; x++) {
      open += changes[x]!;
      if (open > 0) grown.data[y * width + x] = 1;
    }
  }
  return grown;
}

/** Every pixel around which the whole kernel is set; beyond the border counts as `outside`. */
export function erode({ width, height, data }: Bits, kernel: Kernel, outside: 0 | 1): Bits {
  // How many set pixels follow each other from a pixel on to the right.
  const following = new Int32Array(width * height);
  for (let y = 0; y < height; y++) {
    let count = outside ? 2 * width : 0;
    for (let x = width - 1, i = y * width + x; x >= 0; x--, i--) following[i] = count = data[i] ? count + 1 : 0;
  }
  const holds = (x: number, y: number, length: number): boolean => {
    if (y < 0 || y >= height || x >= width || x + length <= 0) return outside === 1;
    if (x < 0) return outside === 1 && following[y * width]! >= x + length;
    return following[y * width + x]! >= length;
  };
  const left = newBits(width, height);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++) {
      let all = true;
      for (let k = 0; all && k < kernel.length; k++)
        all = holds(x + kernel[k]!.dx, y + kernel[k]!.dy, kernel[k]!.length);
      if (all) left.data[i] = 1;
    }
  return left;
}

export function rectangle(width: number, height: number): Kernel {
  return Array.from({ length: height }, (_, row) => ({ dx: -(width >> 1), dy: row - (height >> 1), length: width }));
}

/** The pixels that OpenCV calls an ellipse, as wide as high. */
export function disc(size: number): Kernel {
  const r = size >> 1;
  return Array.from({ length: size }, (_, row) => {
    const reach = Math.round(r * Math.sqrt((r * r - (row - r) ** 2) / (r * r)));
    return { dx: -reach, dy: row - r, length: 2 * reach + 1 };
  });
}

export const CROSS: Kernel = disc(3);

/** Exact squared distance of every pixel to the nearest empty one, and the number of that pixel (Felzenszwalb 2012). */
export function toNearestEmpty({ width, height, data }: Bits): { squared: Float64Array; nearest: Int32Array } {
  const far = 4 * (width + height) ** 2;
  const down = new Float64Array(width * height);
  const rowOf = new Int32Array(width * height);
  for (let x = 0; x < width; x++) {
    let last = -1;
    for (let y = 0, i = x; y < height; y++, i += width) {
      if (!data[i]) last = y;
      down[i] = last < 0 ? far : (y - last) ** 2;
      rowOf[i] = last;
    }
    last = -1;
    for (let y = height - 1, i = (height - 1) * width + x; y >= 0; y--, i -= width) {
      if (!data[i]) last = y;
      if (last >= 0 && (last - y) ** 2 < down[i]!) [down[i], rowOf[i]] = [(last - y) ** 2, last];
    }
  }
  const squared = new Float64Array(width * height);
  const nearest = new Int32Array(width * height);
  const places = new Int32Array(width);
  const begins = new Float64Array(width + 1);
  for (let y = 0; y < height; y++) {
    lowerEnvelope(down.subarray(y * width, (y + 1) * width), places, begins);
    for (let x = 0, k = 0; x < width; x++) {
      while (begins[k + 1]! < x) k++;
      const from = places[k]!;
      squared[y * width + x] = (x - from) ** 2 + down[y * width + from]!;
      nearest[y * width + x] = rowOf[y * width + from]! * width + from;
    }
  }
  return { squared, nearest };
}

function lowerEnvelope(heights: Float64Array, places: Int32Array, begins: Float64Array): void {
  let k = 0;
  places[0] = 0;
  begins[0] = -Infinity;
  for (let q = 1; q < heights.length; q++) {
    const meet = (): number => {
      const p = places[k]!;
      return (heights[q]! + q * q - heights[p]! - p * p) / (2 * (q - p));
    };
    while (k > 0 && meet() <= begins[k]!) k--;
    begins[k + 1] = meet();
    places[++k] = q;
  }
  begins[k + 1] = Infinity;
}

/** Distance to the nearest empty pixel in steps of 3 x 3 or 5 x 5 pixels, with OpenCV's lengths of a step (Borgefors). */
export function chamfer({ width, height, data }: Bits, size: 3 | 5): Float32Array {
  const [straight, slanted, knight] = size === 3 ? [0.955, 1.3693, 1e6] : [1, 1.4, 2.1969];
  const wide = width + 4;
  // With a margin of two pixels, so that no step leaves the array.
  const distance = new Float32Array(wide * (height + 4)).fill(1e6);
  for (let y = 0; y < height; y++)
    for (let x = 0, i = (y + 2) * wide + 2, k = y * width; x < width; x++, i++, k++) if (!data[k]) distance[i] = 0;
  for (const sign of [-1, 1]) {
    const [side, above, left, right] = [sign, sign * wide, sign * (wide + 1), sign * (wide - 1)];
    const [a, b, c, d] = [sign * (wide + 2), sign * (wide - 2), sign * (2 * wide + 1), sign * (2 * wide - 1)];
    for (let row = 0; row < height; row++) {
      const y = sign < 0 ? row : height - 1 - row;
      for (let column = 0; column < width; column++) {
        const i = (y + 2) * wide + 2 + (sign < 0 ? column : width - 1 - column);
        let least = distance[i]!;
        if (least === 0) continue;
        let near = Math.min(distance[i + side]!, distance[i + above]!) + straight!;
        if (near < least) least = near;
        near = Math.min(distance[i + left]!, distance[i + right]!) + slanted!;
        if (near < least) least = near;
        near = Math.min(distance[i + a]!, distance[i + b]!, distance[i + c]!, distance[i + d]!) + knight!;
        distance[i] = near < least ? near : least;
      }
    }
  }
  const cut = new Float32Array(width * height);
  for (let y = 0; y < height; y++)
    cut.set(distance.subarray((y + 2) * wide + 2, (y + 2) * wide + 2 + width), y * width);
  return cut;
}

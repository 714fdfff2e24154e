/** Vectors of three numbers and 3 x 3 matrices, row by row. */
export type Vector = readonly [x: number, y: number, z: number];
export type Matrix = readonly number[];

export const IDENTITY: Matrix = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const TINY = 1e-9;

export function plus(a: Vector, b: Vector): Vector {
  return [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
}

export function minus(a: Vector, b: Vector): Vector {
  return [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
}

export function times(a: Vector, factor: number): Vector {
  return [a[0] * factor, a[1] * factor, a[2] * factor];
}

export function meanOf(points: readonly Vector[]): Vector {
  return times(
    points.reduce((a, b) => plus(a, b)),
    1 / points.length,
  );
}

export function transform(m: Matrix, [x, y, z]: Vector): Vector {
  return [m[0]! * x + m[1]! * y + m[2]! * z, m[3]! * x + m[4]! * y + m[5]! * z, m[6]! * x + m[7]! * y + m[8]! * z];
}

export function multiply(a: Matrix, b: Matrix): Matrix {
  const product = new Array<number>(9);
  for (let i = 0; i < 9; i += 3)
    for (let j = 0; j < 3; j++) product[i + j] = a[i]! * b[j]! + a[i + 1]! * b[j + 3]! + a[i + 2]! * b[j + 6]!;
  return product;
}

export function transposed(m: Matrix): Matrix {
  return [m[0]!, m[3]!, m[6]!, m[1]!, m[4]!, m[7]!, m[2]!, m[5]!, m[8]!];
}

/** Turn about the vertical axis; positive brings +z, the front, to +x. */
export function aboutY(degrees: number): Matrix {
  const [c, s] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  return [c, 0, s, 0, 1, 0, -s, 0, c];
}

/** Turn in the picture plane, counter-clockwise for the viewer. */
export function aboutZ(radians: number): Matrix {
  const [c, s] = [Math.cos(radians), Math.sin(radians)];
  return [c, -s, 0, s, c, 0, 0, 0, 1];
}

export function fromQuaternion(x: number, y: number, z: number, w: number): Matrix {
  const n = 2 / (x * x + y * y + z * z + w * w);
  return [
    1 - n * (y * y + z * z),
    n * (x * y - z * w),
    n * (x * z + y * w),
    n * (x * y + z * w),
    1 - n * (x * x + z * z),
    n * (y * z - x * w),
    n * (x * z - y * w),
    n * (y * z + x * w),
    1 - n * (x * x + y * y),
  ];
}

/** The smallest rotation that turns direction a to b; the identity if one of them has no length. */
export function shortestArc(a: Vector, b: Vector): Matrix {
  const [p, q] = [Math.hypot(...a), Math.hypot(...b)];
  if (Math.min(p, q) < TINY) return IDENTITY;
  const [u, v] = [times(a, 1 / p), times(b, 1 / q)];
  const cosine = u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
  if (cosine < -1 + 1e-12) {
    // Half a turn about any axis across a.
    const least = u.reduce((best, value, i) => (Math.abs(value) < Math.abs(u[best]!) ? i : best), 0);
    const across = cross(u, [Number(least === 0), Number(least === 1), Number(least === 2)]);
    const axis = times(across, 1 / Math.hypot(...across));
    return IDENTITY.map((one, i) => 2 * axis[Math.floor(i / 3)]! * axis[i % 3]! - one);
  }
  const [x, y, z] = cross(u, v);
  const skew: Matrix = [0, -z, y, z, 0, -x, -y, x, 0];
  const twice = multiply(skew, skew);
  return IDENTITY.map((one, i) => one + skew[i]! + twice[i]! / (1 + cosine));
}

function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

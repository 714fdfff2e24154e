/** Faces in three dimensions: reference/tasks/face_reconstruction.py and reference/geometry/face_topology.py. */
import type { Bundle } from '../bundle/bundle';
import { BundleInvalid } from '../bundle/errors';
import { SafeTensors } from '../bundle/safetensors';
import { toPicture, type Region } from '../image/region';
import { output, type Context, type Tensors } from '../runner/outputs';
import { FACE_POINTS } from './square';

const TOPOLOGY = 'topology.safetensors';
/** Landmarks of the jaw, which wander to the visible outline. */
const JAW = 17;
const CHIN = 8;
const NOSE_BASE = 33;
const RIGHT_EYE_CORNER = 36;
const LEFT_EYE_CORNER = 45;
/** Quaternion w, x, y, z of any length, scale, shift x and y. */
const POSE = 7;
const DEGREES = 180 / Math.PI;

/** What the meshes of a bundle share. The first 68 vertices are the landmarks, in the order of 300-W. */
export class FaceTopology {
  readonly vertexCount: number;
  /** Three numbers of vertices each, counter-clockwise seen from outside. */
  readonly triangles: Int32Array;
  /** For each landmark of the jaw, vertices from it towards the middle of the face. */
  readonly #contour: Int32Array;
  /** Where the jaw of an upright face looks at each of its landmarks. */
  readonly #outward: Float32Array;

  constructor(content: Uint8Array<ArrayBuffer>, name = TOPOLOGY) {
    const tensors = new SafeTensors(content, name, 'face topology', 'export the bundle again');
    const count = tensors.length('mean');
    if (!(count >= FACE_POINTS)) throw tensors.damaged(`${count} vertices; needed: the ${FACE_POINTS} landmarks`);
    const numbers = (tensor: string, shape: readonly number[]): Int32Array =>
      tensors.indices(tensor, tensors.values(tensor, ['I32'], shape), 0, count);
    this.vertexCount = count;
    this.triangles = numbers('faces', [tensors.length('faces'), 3]);
    this.#contour = numbers('contour', [JAW, Math.max(1, tensors.last('contour'))]);
    this.#outward = tensors.floats('outward', [JAW, 2]);
  }

  /** The topology that a bundle carries. */
  static of(bundle: Bundle): FaceTopology {
    return new FaceTopology(bundle.file(TOPOLOGY), `${bundle.name}: ${TOPOLOGY}`);
  }

  /** Numbers of the vertices that stand for the landmarks in this view; the jaw's lie on the visible outline. */
  landmarkVertices(verticesPx: Float32Array): Int32Array {
    const x = (i: number): number => verticesPx[3 * i]!;
    const y = (i: number): number => verticesPx[3 * i + 1]!;
    // The head's vertical in the picture, from the eyes' middle to the chin.
    const toX = x(CHIN) - (x(RIGHT_EYE_CORNER) + x(LEFT_EYE_CORNER)) / 2;
    const toY = y(CHIN) - (y(RIGHT_EYE_CORNER) + y(LEFT_EYE_CORNER)) / 2;
    const length = Math.max(Math.hypot(toX, toY), 1e-9);
    const [downX, downY] = [toX / length, toY / length];
    const steps = this.#contour.length / JAW;
    const numbers = Int32Array.from({ length: FACE_POINTS }, (_, i) => i);
    for (let jaw = 0; jaw < JAW; jaw++) {
      const [right, up] = [this.#outward[2 * jaw]!, this.#outward[2 * jaw + 1]!];
      const [directionX, directionY] = [right * downY - up * downX, -right * downX - up * downY];
      let best = this.#contour[jaw * steps]!;
      for (let k = 1; k < steps; k++) {
        const other = this.#contour[jaw * steps + k]!;
        if ((x(other) - x(best)) * directionX + (y(other) - y(best)) * directionY > 0) best = other;
      }
      numbers[jaw] = best;
    }
    return numbers;
  }
}

/**
 * Degrees by which a face turns to the picture's right, looks down, and tilts counter-clockwise in the picture: yaw
 * first, then pitch, then roll, each about a fixed axis of the viewer's.
 */
export interface FacePose {
  readonly yaw: number;
  readonly pitch: number;
  readonly roll: number;
}

/**
 * What a face does, against its own neutral shape.
 *
 * The first four are changes in shares of the neutral outer eye distance, about -0.1 to 0.5; an eye (the person's left
 * or right) is 0 as neutral, 1 shut, negative wide open.
 */
export interface FaceExpression {
  readonly mouthOpen: number;
  readonly mouthWide: number;
  readonly smile: number;
  readonly browRaise: number;
  readonly leftEyeClosed: number;
  readonly rightEyeClosed: number;
}

/** A face in three dimensions: V vertices, three numbers each. */
export class FaceMesh {
  constructor(
    /**
     * x and y in picture pixels, the centre of the first pixel at (0, 0); z towards the viewer in the same unit, 0 at
     * the middle of the face.
     */
    readonly verticesPx: Float32Array,
    /**
     * The same face without expression in decimetres, upright, x to the picture's right when it looks at the viewer, y
     * up, z out of the face. One picture does not tell its true size.
     */
    readonly neutral: Float32Array,
    /** 3 x 3, row by row, from that frame to the viewer's (x right, y up, z towards the viewer). */
    readonly rotation: Float32Array,
    /** Pixels per decimetre. */
    readonly scalePx: number,
    /** Where the origin of that frame lies in the picture. */
    readonly centerPx: Float32Array,
    /** The crop that the network saw. */
    readonly region: Region,
    readonly topology: FaceTopology,
  ) {}

  /** Like `neutral`, with the expression: the face before its pose. Computed at every call. */
  shape(): Float32Array {
    const { verticesPx, rotation: r, scalePx, centerPx } = this;
    const shape = new Float32Array(verticesPx.length);
    for (let i = 0; i < shape.length; i += 3) {
      const x = (verticesPx[i]! - centerPx[0]!) / scalePx;
      const y = (centerPx[1]! - verticesPx[i + 1]!) / scalePx;
      const z = verticesPx[i + 2]! / scalePx;
      for (let k = 0; k < 3; k++) shape[i + k] = x * r[k]! + y * r[3 + k]! + z * r[6 + k]!;
    }
    return shape;
  }

  /** 68 projected landmarks, x, y, x, y, ...; the jaw's lie on the visible outline, as in 300-W. */
  landmarksPx(): Float32Array {
    const numbers = this.topology.landmarkVertices(this.verticesPx);
    return Float32Array.from({ length: 2 * FACE_POINTS }, (_, i) => this.verticesPx[3 * numbers[i >> 1]! + (i % 2)]!);
  }

  get poseDegrees(): FacePose {
    const r = this.rotation;
    return {
      yaw: Math.atan2(-r[6]!, r[8]!) * DEGREES,
      pitch: Math.asin(Math.min(Math.max(r[7]!, -1), 1)) * DEGREES,
      roll: Math.atan2(-r[1]!, r[4]!) * DEGREES,
    };
  }

  /** Computed at every call. */
  expression(): FaceExpression {
    const [now, rest] = [measure(this.shape()), measure(this.neutral)];
    const change = (name: 'mouthOpen' | 'mouthWide' | 'smile' | 'browRaise'): number =>
      (now[name] - rest[name]) / rest.size;
    return {
      mouthOpen: change('mouthOpen'),
      mouthWide: change('mouthWide'),
      smile: change('smile'),
      browRaise: change('browRaise'),
      leftEyeClosed: 1 - now.leftEye / Math.max(rest.leftEye, 1e-6),
      rightEyeClosed: 1 - now.rightEye / Math.max(rest.rightEye, 1e-6),
    };
  }

  /** The upright face with its expression as an OBJ file, in metres. */
  toObj(): string {
    const shape = this.shape();
    const { triangles } = this.topology;
    const lines: string[] = [];
    for (let i = 0; i < shape.length; i += 3) {
      lines.push(`v ${[0, 1, 2].map((k) => Number((shape[i + k]! / 10).toPrecision(7))).join(' ')}`);
    }
    for (let i = 0; i < triangles.length; i += 3) {
      lines.push(`f ${[0, 1, 2].map((k) => triangles[i + k]! + 1).join(' ')}`);
    }
    return `${lines.join('\n')}\n`;
  }
}

/** Distances between landmarks of an upright face, in its unit. */
function measure(shape: Float32Array) {
  const y = (i: number): number => shape[3 * i + 1]!;
  const apart = (a: number, b: number): number =>
    Math.hypot(...[0, 1, 2].map((k) => shape[3 * a + k]! - shape[3 * b + k]!));
  const mean = (...values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  return {
    size: apart(RIGHT_EYE_CORNER, LEFT_EYE_CORNER),
    mouthOpen: mean(apart(61, 67), apart(62, 66), apart(63, 65)),
    mouthWide: apart(48, 54),
    smile: mean(y(48), y(54)) - y(NOSE_BASE),
    browRaise: mean(...Array.from({ length: 10 }, (_, i) => y(17 + i))) - mean(y(36), y(39), y(42), y(45)),
    rightEye: mean(apart(37, 41), apart(38, 40)),
    leftEye: mean(apart(43, 47), apart(44, 46)),
  };
}

export function toFaceMesh(outputs: Tensors, { manifest, region }: Context, topology: FaceTopology): FaceMesh {
  const [vertices, neutral] = [output(outputs, 'vertices'), output(outputs, 'neutral')];
  const pose = output(outputs, 'pose');
  const count = 3 * topology.vertexCount;
  if (vertices.length !== count || neutral.length !== count || pose.length !== POSE) {
    throw new BundleInvalid(
      `${manifest.id} gives ${vertices.length / 3} vertices; its topology has ${topology.vertexCount}; export the bundle again`,
    );
  }
  const { left, top, width, height } = region;
  const verticesPx = new Float32Array(count);
  for (let i = 0; i < count; i += 3) {
    verticesPx[i] = vertices[i]! * width + left - 0.5;
    verticesPx[i + 1] = vertices[i + 1]! * height + top - 0.5;
    verticesPx[i + 2] = vertices[i + 2]! * width;
  }
  const center = toPicture(pose.subarray(5), region);
  return new FaceMesh(verticesPx, neutral.slice(), rotationOf(pose), pose[4]! * width, center, region, topology);
}

function rotationOf(pose: Float32Array): Float32Array {
  const length = Math.max(Math.hypot(pose[0]!, pose[1]!, pose[2]!, pose[3]!), 1e-9);
  const [w, x, y, z] = Array.from(pose.subarray(0, 4), (value) => value / length) as [number, number, number, number];
  return new Float32Array([
    1 - 2 * (y * y + z * z),
    2 * (x * y - w * z),
    2 * (x * z + w * y),
    2 * (x * y + w * z),
    1 - 2 * (x * x + z * z),
    2 * (y * z - w * x),
    2 * (x * z - w * y),
    2 * (y * z + w * x),
    1 - 2 * (x * x + y * y),
  ]);
}

/** Results on a canvas. */
import type { DepthMap, FaceBoxes, FaceMesh, Keypoints, Mask } from '../onpar';

/** 300-W order: jaw, brows, nose bridge, nostrils, eyes, outer and inner lips; true closes the line. */
const FACE_LINES: readonly (readonly [number, number, boolean])[] = [
  [0, 17, false],
  [17, 22, false],
  [22, 27, false],
  [27, 31, false],
  [31, 36, false],
  [36, 42, true],
  [42, 48, true],
  [48, 60, true],
  [60, 68, true],
];
const SMALLEST = 640;
const LARGEST = 1280;

export type Drawable = ImageBitmap | HTMLVideoElement | HTMLCanvasElement;

/** The picture at a size that shows well; returns canvas pixels per picture pixel. */
export function drawPicture(canvas: HTMLCanvasElement, picture: Drawable, width: number, height: number): number {
  const longest = Math.max(width, height);
  const scale = Math.min(Math.max(longest, SMALLEST), LARGEST) / longest;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext('2d')!.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return scale;
}

/** Lines along the parts of the face, and a dot on each point. */
export function drawPoints(canvas: HTMLCanvasElement, { pointsPx }: Pick<Keypoints, 'pointsPx'>, scale: number): void {
  const pen = canvas.getContext('2d')!;
  const xs = pointsPx.filter((_, i) => i % 2 === 0);
  const face = (Math.max(...xs) - Math.min(...xs)) * scale;
  const at = (i: number): [number, number] => [(pointsPx[2 * i]! + 0.5) * scale, (pointsPx[2 * i + 1]! + 0.5) * scale];
  pen.lineWidth = Math.max(1.5, face / 130);
  pen.strokeStyle = 'rgb(40 200 120 / 0.9)';
  pen.lineJoin = 'round';
  // Another number of points is another template, whose lines nobody told.
  for (const [first, last, closed] of pointsPx.length === 2 * 68 ? FACE_LINES : []) {
    pen.beginPath();
    for (let i = first; i < last; i++) pen.lineTo(...at(i));
    if (closed) pen.closePath();
    pen.stroke();
  }
  drawDots(canvas, pointsPx, scale, face / 95);
}

/** A dot on each point. */
export function drawDots(canvas: HTMLCanvasElement, pointsPx: Float32Array, scale: number, radius: number): void {
  const pen = canvas.getContext('2d')!;
  pen.fillStyle = '#ffd60a';
  pen.strokeStyle = '#1c1e22';
  pen.lineWidth = Math.max(0.75, radius / 4);
  for (let i = 0; i < pointsPx.length; i += 2) {
    pen.beginPath();
    pen.arc((pointsPx[i]! + 0.5) * scale, (pointsPx[i + 1]! + 0.5) * scale, Math.max(2, radius), 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }
}

/** A frame around each face, and its five points. */
export function drawFaces(canvas: HTMLCanvasElement, { faces }: FaceBoxes, scale: number): void {
  const pen = canvas.getContext('2d')!;
  pen.lineWidth = Math.max(2, canvas.height / 240);
  pen.strokeStyle = 'rgb(40 200 120)';
  pen.fillStyle = '#ffd60a';
  for (const { boxPx, pointsPx } of faces) {
    const [x0, y0, x1, y1] = boxPx.map((value) => value * scale) as [number, number, number, number];
    pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    for (let i = 0; i < pointsPx.length; i += 2) {
      pen.beginPath();
      pen.arc((pointsPx[i]! + 0.5) * scale, (pointsPx[i + 1]! + 0.5) * scale, Math.max(2, (x1 - x0) / 45), 0, 7);
      pen.fill();
    }
  }
}

/** The wire frame of what faces the viewer. */
export function drawMesh(canvas: HTMLCanvasElement, { verticesPx: v, topology }: FaceMesh, scale: number): void {
  const pen = canvas.getContext('2d')!;
  const at = (i: number): [number, number] => [(v[3 * i]! + 0.5) * scale, (v[3 * i + 1]! + 0.5) * scale];
  const { triangles } = topology;
  pen.beginPath();
  for (let t = 0; t < triangles.length; t += 3) {
    const [a, b, c] = [at(triangles[t]!), at(triangles[t + 1]!), at(triangles[t + 2]!)];
    // Counter-clockwise seen from outside, and rows count downwards.
    if ((b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0])) continue;
    pen.moveTo(...a);
    pen.lineTo(...b);
    pen.lineTo(...c);
  }
  pen.lineWidth = Math.max(0.9, canvas.width / 800);
  pen.strokeStyle = 'rgb(120 235 190 / 0.7)';
  pen.stroke();
}

/** What is not salient is dimmed. */
export function drawMask(canvas: HTMLCanvasElement, mask: Mask): void {
  const pixels = new ImageData(mask.width, mask.height);
  mask.values.forEach((value, i) => {
    pixels.data.set([24, 28, 44, Math.round(215 * (1 - value))], 4 * i);
  });
  const layer = new OffscreenCanvas(mask.width, mask.height);
  layer.getContext('2d')!.putImageData(pixels, 0, 0);
  canvas.getContext('2d')!.drawImage(layer, 0, 0, canvas.width, canvas.height);
}

/** A depth map as a picture: near is bright, holes are dark. */
export function depthPicture(depth: DepthMap): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [depth.width, depth.height];
  const measured = depth.millimetres.filter((value) => value > 0);
  const near = measured.reduce((a, b) => Math.min(a, b), 65535);
  const far = measured.reduce((a, b) => Math.max(a, b), 0);
  const pixels = new ImageData(depth.width, depth.height);
  depth.millimetres.forEach((value, i) => {
    const level = value > 0 ? 1 - ((value - near) / Math.max(far - near, 1)) * 0.85 : 0;
    pixels.data.set(value > 0 ? [70 + 180 * level, 60 + 170 * level, 110 + 60 * level, 255] : [24, 28, 44, 255], 4 * i);
  });
  canvas.getContext('2d')!.putImageData(pixels, 0, 0);
  return canvas;
}

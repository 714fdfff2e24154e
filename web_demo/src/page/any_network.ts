/** Results of networks with classes or units of their own, on a canvas. */
import { EstimatedDepth, type DetectedObjects, type NewPicture, type Segmentation } from '../onpar';

type Rgb = readonly [number, number, number];

/** Neighbouring numbers differ well; the first class is a neutral grey, as in sdk_build/predict. */
function colorOf(number: number): Rgb {
  if (number === 0) return [128, 130, 134];
  const hue = 12 * ((number * 0.618034) % 1);
  const part = (n: number): number => {
    const k = (n + hue) % 12;
    return Math.round(255 * (0.59 - 0.33 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}

/** A frame around each object, with its class and score; the most certain one on top. */
export function drawObjects(canvas: HTMLCanvasElement, { objects }: DetectedObjects, scale: number): void {
  const pen = canvas.getContext('2d')!;
  const size = Math.max(14, canvas.height / 34);
  const labels = [...new Set(objects.map(({ label }) => label))].sort();
  pen.font = `${size}px system-ui, sans-serif`;
  pen.textBaseline = 'middle';
  pen.lineWidth = Math.max(2, canvas.height / 220);
  for (const { boxPx, label, score } of [...objects].reverse()) {
    const [x0, y0, x1, y1] = boxPx.map((value) => value * scale) as [number, number, number, number];
    const color = `rgb(${colorOf(labels.indexOf(label) + 1).join(' ')})`;
    pen.strokeStyle = pen.fillStyle = color;
    pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    const text = `${label} ${(100 * score).toFixed(0)} %`;
    const width = pen.measureText(text).width + 0.6 * size;
    const left = Math.max(0, Math.min(x0, canvas.width - width));
    const top = Math.max(0, y0 - 1.4 * size);
    pen.fillRect(left, top, width, 1.4 * size);
    pen.fillStyle = '#1c1e22';
    pen.fillText(text, left + 0.3 * size, top + 0.7 * size);
  }
}

/** Every pixel under the colour of its class; what the network did not see is dimmed. */
export function drawClasses(canvas: HTMLCanvasElement, found: Segmentation, width: number, height: number): void {
  const colors = found.labels.map((_, i) => colorOf(i));
  layer(canvas, width, height, Array.from(found.inPicture(width, height)), (number) =>
    number < 0 ? [24, 28, 44, 128] : [...colors[number]!, 150],
  );
}

/** Near is bright; what the network did not see is dimmed. */
export function drawDepth(canvas: HTMLCanvasElement, found: EstimatedDepth, width: number, height: number): void {
  const { rows, columns, region, unit } = found;
  const shares = new EstimatedDepth(found.nearness(), rows, columns, region, unit).inPicture(width, height);
  layer(canvas, width, height, Array.from(shares), (share) =>
    Number.isNaN(share) ? [24, 28, 44, 128] : [40 + 210 * share, 30 + 190 * share, 90 + 80 * share, 255],
  );
}

/** The picture that the network made, in its own size. */
export function drawNewPicture(canvas: HTMLCanvasElement, { rgba, width, height }: NewPicture): void {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d')!.putImageData(new ImageData(rgba, width, height), 0, 0);
}

function layer(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
  values: readonly number[],
  color: (value: number) => readonly number[],
): void {
  const pixels = new ImageData(width, height);
  values.forEach((value, i) => pixels.data.set(color(value), 4 * i));
  const drawn = new OffscreenCanvas(width, height);
  drawn.getContext('2d')!.putImageData(pixels, 0, 0);
  canvas.getContext('2d')!.drawImage(drawn, 0, 0, canvas.width, canvas.height);
}

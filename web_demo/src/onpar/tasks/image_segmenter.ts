/** The task of telling what every pixel shows: reference/tasks/image_segmentation.py. */
import { layClassesOver } from '../image/grid';
import type { Region } from '../image/region';
import { entryOf, output, type Context, type Tensors } from '../runner/outputs';
import { open, type From, type TaskOptions } from './open';
import { PictureTask } from './task';

/** The class of every cell of the network's own grid, which covers {@link region} of the picture. */
export class Segmentation {
  constructor(
    /** Class numbers, row by row. */
    readonly classes: Int32Array,
    readonly rows: number,
    readonly columns: number,
    readonly region: Region,
    readonly labels: readonly string[],
  ) {}

  /** Class numbers of a picture's pixels; -1 outside the region. */
  inPicture(width: number, height: number): Int32Array {
    const { classes: values, rows, columns } = this;
    return layClassesOver({ values, rows, columns }, this.region, width, height);
  }

  /** Share of the grid that each class covers, the largest first; classes that cover nothing are left out. */
  shares(): { readonly label: string; readonly share: number }[] {
    const counts = new Float64Array(this.labels.length);
    for (const number of this.classes) counts[number]!++;
    return this.labels
      .map((label, i) => ({ label, share: counts[i]! / this.classes.length }))
      .filter(({ share }) => share > 0)
      .sort((a, b) => b.share - a.share); // stable: equal shares keep the order of the labels
  }
}

/** Of scores (1, classes, h, w) the largest, of one score (above 0 is the second class), or class numbers. */
export function classesOf(values: Float32Array, shape: readonly number[], isFloat: boolean): Int32Array {
  if (!isFloat) return Int32Array.from(values);
  const classes = shape.at(-3) ?? 1;
  const cells = values.length / classes;
  return Int32Array.from({ length: cells }, (_, cell) => {
    if (classes === 1) return values[cell]! > 0 ? 1 : 0;
    let best = 0;
    for (let c = 1; c < classes; c++) if (values[c * cells + cell]! > values[best * cells + cell]!) best = c;
    return best;
  });
}

export function toSegmentation(outputs: Tensors, { manifest, region }: Context): Segmentation {
  const { name, shape, dtype } = entryOf(manifest, 0);
  const classes = classesOf(output(outputs, name), shape, dtype.startsWith('float'));
  return new Segmentation(classes, shape.at(-2)!, shape.at(-1)!, region, manifest.labels);
}

/** What every pixel shows, of the classes that the network knows. */
export class ImageSegmenter extends PictureTask<Segmentation> {
  static async fromBundle(from: From, options: TaskOptions = {}): Promise<ImageSegmenter> {
    return new ImageSegmenter(...(await open(from, 'Segmentation', options)), toSegmentation);
  }
}

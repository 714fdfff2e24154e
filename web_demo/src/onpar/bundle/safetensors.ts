/** Files of tensors (safetensors): each tensor is read only after its type, shape and place were checked. */
import { BundleInvalid } from './errors';

const ARRAYS = { U8: Uint8Array, U16: Uint16Array, U32: Uint32Array, I32: Int32Array, F32: Float32Array } as const;
type Type = keyof typeof ARRAYS;
type Values<T extends Type> = InstanceType<(typeof ARRAYS)[T]>;

interface Entry {
  readonly dtype?: unknown;
  readonly shape?: unknown;
  readonly data_offsets?: unknown;
}

export class SafeTensors {
  readonly metadata: Readonly<Record<string, unknown>>;
  /** The tensors' bytes, without the header. */
  readonly data: Uint8Array<ArrayBuffer>;
  readonly #header: Readonly<Record<string, Entry>>;

  /**
   * Read a file's header.
   *
   * @param kind what the file should be.
   * @param advice what to do where it is not.
   */
  constructor(
    content: Uint8Array<ArrayBuffer>,
    readonly name: string,
    kind: string,
    private readonly advice: string,
  ) {
    const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
    const length = content.byteLength < 8 ? 0 : Number(view.getBigUint64(0, true));
    if (length < 2 || length > content.byteLength - 8) {
      throw new BundleInvalid(`${name} is no ${kind} or is cut: ${content.byteLength} bytes; ${advice}`);
    }
    this.#header = this.#read(content.subarray(8, 8 + length));
    this.metadata = (this.#header.__metadata__ ?? {}) as Record<string, unknown>;
    // A copy: the arrays over it must begin at multiples of their element size.
    this.data = content.slice(8 + length);
  }

  damaged(what: string): BundleInvalid {
    return new BundleInvalid(`${this.name}: ${what}; ${this.advice}`);
  }

  list(key: string): unknown[] {
    try {
      const list: unknown = JSON.parse(String(this.metadata[key]));
      if (Array.isArray(list)) return list;
    } catch {
      // Said below, in the words that fit both.
    }
    throw this.damaged(`'${key}' is no list`);
  }

  /** A tensor's first dimension. */
  length(tensor: string): number {
    const { shape } = this.#entry(tensor);
    return Array.isArray(shape) ? Number(shape[0]) : 0;
  }

  /** A tensor's last dimension. */
  last(tensor: string): number {
    const { shape } = this.#entry(tensor);
    return Array.isArray(shape) ? Number(shape.at(-1)) : 0;
  }

  /** A tensor over the file's own memory; its type and shape must be the expected ones. */
  values<T extends Type>(tensor: string, types: readonly T[], wanted: readonly number[]): Values<T> {
    const { dtype, shape, data_offsets: offsets } = this.#entry(tensor);
    const type = types.find((allowed) => allowed === dtype);
    if (type === undefined || String(shape) !== String(wanted)) {
      throw this.damaged(`'${tensor}' is ${String(dtype)} [${String(shape)}]; allowed: ${types.join()} [${wanted}]`);
    }
    const [begin, end] = (Array.isArray(offsets) ? offsets : []) as unknown[];
    const width = ARRAYS[type].BYTES_PER_ELEMENT;
    const size = wanted.reduce((a, b) => a * b, 1);
    const fits = typeof begin === 'number' && begin >= 0 && begin % width === 0 && end === begin + size * width;
    if (!fits || begin + size * width > this.data.byteLength) throw this.damaged(`'${tensor}' lies outside the file`);
    return new ARRAYS[type](this.data.buffer, begin, size) as Values<T>;
  }

  floats(tensor: string, shape: readonly number[]): Float32Array {
    const values = this.values(tensor, ['F32'], shape);
    if (!values.every(Number.isFinite)) throw this.damaged(`'${tensor}' holds values that are no numbers`);
    return values;
  }

  indices<A extends Uint8Array | Uint16Array | Uint32Array | Int32Array>(
    what: string,
    values: A,
    first: number,
    end: number,
  ): A {
    for (const value of values) {
      if (value < first || value >= end) throw this.damaged(`${what} names ${value}; allowed: ${first} to ${end - 1}`);
    }
    return values;
  }

  #entry(tensor: string): Entry {
    const entry = this.#header[tensor];
    if (typeof entry !== 'object' || entry === null) throw this.damaged(`no tensor '${tensor}'`);
    return entry;
  }

  #read(content: Uint8Array): Record<string, Entry> {
    try {
      const header: unknown = JSON.parse(new TextDecoder().decode(content));
      if (typeof header === 'object' && header !== null) return header as Record<string, Entry>;
    } catch {
      // Said below, in the words that fit both.
    }
    throw new BundleInvalid(`${this.name} has a damaged header; ${this.advice}`);
  }
}

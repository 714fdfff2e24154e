/** Values of a tensor in memory, by its type in bundle.json. */
import { BackendUnavailable, BadInput } from './errors';
import type { DType, TensorEntry } from './manifest';

/** float32: Float32Array; int32: Int32Array; int64: BigInt64Array; uint8, and bool as 0 and 1: Uint8Array. */
export type Values = Float32Array | Int32Array | BigInt64Array | Uint8Array;
export type NamedValues = Readonly<Record<string, Values>>;

/** Bytes of one value. */
export const WIDTHS: Readonly<Record<DType, number>> = {
  float32: 4,
  float16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  bool: 1,
};
const ARRAYS = {
  float32: Float32Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

export function sizeOf({ shape }: { readonly shape: ArrayLike<number> }): number {
  return Array.from(shape).reduce((a, b) => a * b, 1);
}

/** The array type of a tensor's values; the runtime for browsers has none for float16. */
function arrayOf(dtype: DType): (typeof ARRAYS)[keyof typeof ARRAYS] {
  if (dtype !== 'float16') return ARRAYS[dtype];
  throw new BackendUnavailable(
    'LiteRT.js knows no float16 tensors; export the network with float32 inputs and outputs',
  );
}

/** Little-endian bytes as values. */
export function valuesOf(content: Uint8Array<ArrayBuffer>, dtype: DType): Values {
  return new (arrayOf(dtype))(content.slice().buffer);
}

/** For metrics: exact, but of whole numbers beyond 2^53. */
export function toNumbers(values: Values): Float32Array | Float64Array {
  return values instanceof Float32Array ? values : Float64Array.from(values, Number);
}

/** Refuse other values than the tensor takes. */
export function checkValues(tensor: TensorEntry, values: Values | undefined): Values {
  const wanted = arrayOf(tensor.dtype);
  const size = sizeOf(tensor);
  if (values instanceof wanted && values.length === size) return values;
  const given = values?.constructor ? `a ${values.constructor.name} of ${values.length} values` : String(values);
  throw new BadInput(
    `input '${tensor.name}' is ${given}; needed: a ${wanted.name} of ${size} values, ${tensor.dtype} [${tensor.shape}]`,
  );
}

/** Values in another type: a .tflite file holds int64 as int32. A value that does not fit is refused. */
export function convert(values: Values, dtype: DType, what: string): Values {
  if (values instanceof arrayOf(dtype)) return values;
  if (dtype === 'int64') return BigInt64Array.from(values as Int32Array, BigInt);
  const large = (values as BigInt64Array).find((value) => BigInt.asIntN(32, value) !== value);
  if (large !== undefined) {
    throw new BadInput(`${what} holds ${large}; the artifact takes 32 bits: -2147483648 to 2147483647`);
  }
  return Int32Array.from(values as BigInt64Array, Number);
}

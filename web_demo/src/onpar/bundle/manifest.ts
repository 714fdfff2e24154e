/** bundle.json as typed data. Unknown and missing keys are refused, as in Python (docs/bundle.schema.json). */
import { BadInput, BundleInvalid } from './errors';

export const FORMAT_VERSION = 1;

/** How a picture or depth map becomes the input tensor. */
export interface PreprocessSpec {
  /** Height and width. */
  readonly size: readonly [number, number];
  readonly color: 'RGB' | 'DEPTH';
  readonly resize: 'cover' | 'contain' | 'stretch';
  readonly boxGrow: number;
}

export interface PostprocessSpec {
  readonly result: string;
  readonly threshold: number | null;
}

export const DTYPES = ['float32', 'float16', 'int32', 'int64', 'uint8', 'bool'] as const;
export type DType = (typeof DTYPES)[number];

export interface TensorEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** What a value means, e.g. `logit`, `xyxy_pixels`, `metres`. */
  readonly unit: string;
}

export interface ModelFile {
  readonly file: string;
  readonly runtime: string;
  readonly minimumRuntime: string;
  readonly executedHereBy: string;
  readonly inputs: readonly TensorEntry[];
  readonly outputs: readonly TensorEntry[];
}

export interface GoldenTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly file: string;
  /** Above 1, the file holds every stride-th value, flat. */
  readonly stride: number;
}

export interface GoldenCase {
  /** The picture or depth map of the first input; empty where the network takes tensors alone. */
  readonly raw: string;
  readonly tensors: readonly GoldenTensor[];
}

export interface Limit {
  readonly runtime: string;
  readonly output: string;
  readonly metric: string;
  readonly limit: number;
}

export interface FileEntry {
  readonly path: string;
  readonly sha256: string;
}

export interface Manifest {
  readonly id: string;
  readonly model: string;
  readonly task: string;
  readonly description: string;
  readonly labels: readonly string[];
  /** False where the network takes tensors as they are: {@link preprocess} throws then. */
  readonly takesPicture: boolean;
  readonly preprocess: PreprocessSpec;
  readonly postprocess: PostprocessSpec;
  /** The network's own inputs and outputs; a file may hold one in another type ({@link modelFiles}). */
  readonly inputs: readonly TensorEntry[];
  readonly outputs: readonly TensorEntry[];
  readonly modelFiles: readonly ModelFile[];
  readonly golden: readonly GoldenCase[];
  /** What the proof of the artifacts allowed; the self-test uses the same. */
  readonly limits: readonly Limit[];
  readonly files: readonly FileEntry[];
  readonly weightsLicense: string;
}

// A question mark: older bundles of this format lack the key.
const TOP =
  'format_version id model task target precision document description labels preprocess postprocess model_files golden parity accuracy accuracy_data tool_versions git_commit code_license weights_license spec files sounds?';
const PREPROCESS = 'size color resize crop interpolation mean std box_grow layout orientation normalization';
const MODEL_FILE =
  'file runtime precision sha256 bytes minimum_runtime executed_here_by inputs outputs delegation quantization? accuracy?';
const GOLDEN_TENSOR = 'file case tensor shape stride dtype?';
const TENSOR = 'name shape dtype layout unit value_range quantization_parameters';
/** The stages that judge a saved artifact. */
const ARTIFACT_STAGES = ['lowered_vs_artifact', 'float_vs_quantized'];
const CHECK = 'runtime stage output metric value limit passed';

/** Read the bytes of bundle.json. */
export function parseManifest(content: Uint8Array): Manifest {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch (error) {
    throw new BundleInvalid(`bundle.json is no JSON (${(error as Error).message}); export the bundle again`);
  }
  const version = isRecord(document) ? document.format_version : undefined;
  if (version !== FORMAT_VERSION) {
    throw new BundleInvalid(
      `bundle.json has format_version ${JSON.stringify(version)}; allowed: ${FORMAT_VERSION}; update onpar or export again`,
    );
  }
  return toManifest(new Fields('bundle.json', document, TOP));
}

function toManifest(top: Fields): Manifest {
  const id = top.text('id');
  const preprocess = top.value('preprocess') === null ? null : toPreprocess(top.fields('preprocess', PREPROCESS));
  const modelFiles = top.each('model_files', MODEL_FILE).map(toModelFile);
  const golden = top.each('golden', 'raw tensors').map((item) => ({
    raw: item.text('raw'),
    tensors: item.each('tensors', GOLDEN_TENSOR).map(toGoldenTensor),
  }));
  if (modelFiles[0] === undefined || golden[0] === undefined) {
    throw new BundleInvalid('bundle.json lacks artifacts or golden inputs; export the bundle again');
  }
  return {
    id,
    model: top.text('model'),
    task: top.text('task'),
    description: top.text('description'),
    labels: top.list('labels').map(String),
    takesPicture: preprocess !== null,
    get preprocess() {
      if (preprocess !== null) return preprocess;
      throw new BadInput(`${id} takes tensors, no picture; open it with TensorModel`);
    },
    postprocess: toPostprocess(top.fields('postprocess', 'result threshold')),
    inputs: ofNetwork(modelFiles[0].inputs, golden[0]),
    outputs: ofNetwork(modelFiles[0].outputs, golden[0]),
    modelFiles,
    golden,
    limits: top.each('parity', CHECK).flatMap(toLimit),
    files: top.each('files', 'path sha256 bytes').map((item) => ({
      path: safePath(item.text('path')),
      sha256: item.text('sha256'),
    })),
    weightsLicense: top.text('weights_license'),
  };
}

/** Golden tensors have the network's types, whatever a runtime made of them. */
function ofNetwork(tensors: readonly TensorEntry[], { tensors: golden }: GoldenCase): TensorEntry[] {
  return tensors.map((tensor) => {
    const proof = golden.find(({ name }) => name === tensor.name);
    if (proof === undefined) throw new BundleInvalid(`bundle.json has no golden '${tensor.name}'; export again`);
    return { ...tensor, dtype: proof.dtype };
  });
}

function toPreprocess(item: Fields): PreprocessSpec {
  const [height, width] = item.numbers('size');
  item.demand('crop', ['center']);
  item.demand('layout', ['NCHW']);
  item.demand('orientation', ['exif']);
  item.demand('normalization', ['in_graph']);
  if (!height || !width) throw new BundleInvalid('bundle.json: size needs a height and a width; export again');
  const color = item.demand('color', ['RGB', 'DEPTH']);
  item.demand('interpolation', [color === 'RGB' ? 'bilinear_antialias' : 'nearest']);
  return {
    size: [height, width],
    color,
    resize: item.demand('resize', ['cover', 'contain', 'stretch']),
    boxGrow: item.number('box_grow'),
  };
}

function toPostprocess(item: Fields): PostprocessSpec {
  const threshold = item.value('threshold');
  return { result: item.text('result'), threshold: threshold === null ? null : item.number('threshold') };
}

function toModelFile(item: Fields): ModelFile {
  const tensors = (key: string): TensorEntry[] =>
    item.each(key, TENSOR).map((t) => ({
      name: t.text('name'),
      shape: t.numbers('shape'),
      dtype: t.demand('dtype', DTYPES),
      unit: t.text('unit'),
    }));
  return {
    file: safePath(item.text('file')),
    runtime: item.text('runtime'),
    minimumRuntime: item.text('minimum_runtime'),
    executedHereBy: item.text('executed_here_by'),
    inputs: tensors('inputs'),
    outputs: tensors('outputs'),
  };
}

function toGoldenTensor(item: Fields): GoldenTensor {
  return {
    file: safePath(item.text('file')),
    name: item.text('tensor'),
    shape: item.numbers('shape'),
    dtype: item.value('dtype') === undefined ? 'float32' : item.demand('dtype', DTYPES),
    stride: item.number('stride'),
  };
}

function toLimit(item: Fields): Limit[] {
  if (!ARTIFACT_STAGES.includes(item.text('stage')) || item.value('limit') === null) return [];
  return [
    {
      runtime: item.text('runtime'),
      output: item.text('output'),
      metric: item.text('metric'),
      limit: item.number('limit'),
    },
  ];
}

function safePath(path: string): string {
  if (path.startsWith('/') || path.split('/').includes('..')) {
    throw new BundleInvalid(`bundle.json lists '${path}', which lies outside the bundle; don't use this bundle`);
  }
  return path;
}

export function thresholdOf(manifest: Manifest): number {
  const { threshold } = manifest.postprocess;
  if (threshold === null) throw new BundleInvalid(`${manifest.id} has no threshold; export the bundle again`);
  return threshold;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A JSON object whose keys are exactly the expected ones. */
class Fields {
  readonly #values: Record<string, unknown>;

  constructor(
    readonly what: string,
    value: unknown,
    keys: string,
  ) {
    if (!isRecord(value)) throw new BundleInvalid(`${what} is no JSON object; export the bundle again`);
    const allowed = keys.split(' ').map((key) => key.replace('?', ''));
    const unknown = Object.keys(value).filter((key) => !allowed.includes(key));
    const missing = keys.split(' ').filter((key) => !key.endsWith('?') && !(key in value));
    if (unknown.length + missing.length > 0) {
      const found = [...unknown.map((k) => `unknown '${k}'`), ...missing.map((k) => `no '${k}'`)].join(', ');
      throw new BundleInvalid(`${what} has ${found}; update onpar or export the bundle again`);
    }
    this.#values = value;
  }

  value(key: string): unknown {
    return this.#values[key];
  }

  text(key: string): string {
    return this.#of(key, 'string');
  }

  number(key: string): number {
    return this.#of(key, 'number');
  }

  list(key: string): unknown[] {
    const value = this.value(key);
    if (!Array.isArray(value)) throw new BundleInvalid(`${this.what}.${key} is no list; export the bundle again`);
    return value;
  }

  numbers(key: string): number[] {
    return this.list(key).map((value) => {
      if (typeof value !== 'number') throw new BundleInvalid(`${this.what}.${key} holds ${value}; allowed: numbers`);
      return value;
    });
  }

  fields(key: string, keys: string): Fields {
    return new Fields(`${this.what}.${key}`, this.value(key), keys);
  }

  each(key: string, keys: string): Fields[] {
    return this.list(key).map((value, i) => new Fields(`${this.what}.${key}[${i}]`, value, keys));
  }

  demand<T extends string>(key: string, allowed: readonly T[]): T {
    const value = this.text(key);
    const found = allowed.find((item) => item === value);
    if (found === undefined) {
      throw new BundleInvalid(`${this.what}.${key} is '${value}'; allowed: ${allowed.join(', ')}; update onpar`);
    }
    return found;
  }

  #of(key: string, kind: 'string'): string;
  #of(key: string, kind: 'number'): number;
  #of(key: string, kind: string): unknown {
    const value = this.value(key);
    if (typeof value !== kind) {
      throw new BundleInvalid(`${this.what}.${key} is ${JSON.stringify(value)}; allowed: a ${kind}; export again`);
    }
    return value;
  }
}

/** LiteRT.js: WebAssembly with threads where the page is cross-origin isolated, one thread otherwise; WebGPU on request. */
import { loadAndCompile, loadLiteRt, Tensor, isWebGPUSupported, type CompiledModel } from '@litertjs/core';
import type { Bundle } from '../bundle/bundle';
import { BackendUnavailable, BadInput, BundleInvalid, RuntimeTooOld } from '../bundle/errors';
import type { DType, Manifest, ModelFile } from '../bundle/manifest';
import { checkValues, convert, sizeOf, type NamedValues, type Values } from '../bundle/values';
import { toFloats, type Tensors } from './outputs';
import type { Runner } from './runner';

export interface LiteRtOptions {
  /** Folder with LiteRT's .wasm files. */
  readonly wasmPath?: string;
  /** `auto` takes WebGPU where there is an adapter, else WebAssembly. */
  readonly accelerator?: 'auto' | 'wasm' | 'webgpu';
  /** Threads to use at most, where there are threads; without it, all that no other open model uses. */
  readonly threads?: number;
}

let loading: Promise<unknown> | undefined;
/**
 * Workers that no open model uses. LiteRT.js 2.5.3 starts as many as there are cores, and a model asks for all of them
 * again; once none is left, the page waits for ever for one that can't start while the page waits.
 */
let spareWorkers = globalThis.navigator?.hardwareConcurrency ?? 1;

/** Threads need SharedArrayBuffer, which a page has only when it is cross-origin isolated. */
export function threadsAvailable(): boolean {
  return globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer !== 'undefined';
}

/** Is there a GPU that WebGPU can use? Many browsers have the interface and no adapter. */
export async function webGpuAvailable(): Promise<boolean> {
  if (!isWebGPUSupported()) return false;
  return (await navigator.gpu.requestAdapter().catch(() => null)) !== null;
}

export class LiteRtRunner implements Runner {
  #closed = false;

  private constructor(
    readonly backend: string,
    readonly model: CompiledModel,
    private readonly manifest: Manifest,
    private readonly entry: ModelFile,
    private readonly workers: number,
  ) {}

  /** Load the bundle's .tflite file. */
  static async load(bundle: Bundle, options: LiteRtOptions = {}): Promise<LiteRtRunner> {
    const entry = bundle.artifact('litert');
    if (entry === undefined) {
      throw new BackendUnavailable(`${bundle.name} holds no .tflite file; export it with --target web`);
    }
    checkTypes(entry);
    await loadRuntime(options.wasmPath ?? 'wasm/');
    const wanted = options.accelerator ?? 'wasm';
    const accelerator = wanted === 'auto' ? ((await webGpuAvailable()) ? 'webgpu' : 'wasm') : wanted;
    const content = bundle.file(entry.file);
    // LiteRT would only log this; a file of another kind must not look like a slow start.
    if (new TextDecoder().decode(content.subarray(4, 8)) !== 'TFL3') {
      throw new BundleInvalid(`${entry.file} is no .tflite file; export the bundle again`);
    }
    const workers = accelerator === 'wasm' ? takeWorkers(options.threads) : 0;
    const model = await compile(content, accelerator, workers + 1, entry).catch((error: unknown) => {
      spareWorkers += workers;
      throw error;
    });
    try {
      checkTensors(entry, 'input', entry.inputs, model.getInputDetails());
      checkTensors(entry, 'output', entry.outputs, model.getOutputDetails());
    } catch (error) {
      model.delete();
      spareWorkers += workers;
      throw error;
    }
    const threads = workers > 0 ? 'threads' : '1 thread';
    return new LiteRtRunner(
      accelerator === 'wasm' ? `LiteRT.js WebAssembly, ${threads}` : 'LiteRT.js WebGPU',
      model,
      bundle.manifest,
      entry,
      workers,
    );
  }

  async run(input: Float32Array): Promise<Tensors> {
    const { id, inputs } = this.manifest;
    if (inputs.length !== 1) throw new BadInput(`${id} takes ${inputs.length} inputs; open it with TensorModel`);
    return toFloats(await this.runTensors({ [inputs[0]!.name]: input }));
  }

  async runTensors(inputs: NamedValues): Promise<NamedValues> {
    if (this.#closed) throw new BadInput('the runner is closed; open the bundle again');
    const given = this.#convertInputs(inputs);
    const tensors: Record<string, Tensor> = {};
    try {
      for (const { name, shape } of this.entry.inputs) {
        tensors[name] = new Tensor(given[name] as Float32Array, shape as number[]);
      }
      const results = await this.model.run(tensors);
      const named: Record<string, Values> = {};
      for (const { name, dtype } of this.manifest.outputs) {
        const result = results[name];
        if (result === undefined)
          throw new BundleInvalid(`the artifact has no output '${name}'; export the bundle again`);
        named[name] = convert((await result.data()).slice(), dtype, `output '${name}'`);
      }
      for (const result of Object.values(results)) result.delete();
      return named;
    } finally {
      for (const tensor of Object.values(tensors)) tensor.delete();
    }
  }

  #convertInputs(inputs: NamedValues): NamedValues {
    const wanted = this.manifest.inputs;
    const unknown = Object.keys(inputs).find((name) => wanted.every((tensor) => tensor.name !== name));
    if (unknown !== undefined) {
      throw new BadInput(`there is no input '${unknown}'; allowed: ${wanted.map(({ name }) => name).join(', ')}`);
    }
    const entries = wanted.map((tensor) => {
      const held = this.entry.inputs.find(({ name }) => name === tensor.name)!.dtype;
      return [tensor.name, convert(checkValues(tensor, inputs[tensor.name]), held, `input '${tensor.name}'`)] as const;
    });
    return Object.fromEntries(entries);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.model.delete();
    spareWorkers += this.workers;
  }
}

interface Shaped {
  readonly name: string;
  readonly shape: ArrayLike<number>;
  readonly dtype: string;
}

/** Of LiteRT.js 2.5.3. */
const TYPES: readonly DType[] = ['float32', 'int32', 'uint8'];

function checkTypes({ file, inputs, outputs }: ModelFile): void {
  const other = [...inputs, ...outputs].find(({ dtype }) => !TYPES.includes(dtype));
  if (other === undefined) return;
  throw new BackendUnavailable(
    `${file}: tensor '${other.name}' is ${other.dtype}; LiteRT.js runs ${TYPES.join(', ')}: export the network with one of them`,
  );
}

/** A model that is not the one of bundle.json would give results without meaning. */
function checkTensors({ file }: ModelFile, kind: string, needed: readonly Shaped[], found: readonly Shaped[]): void {
  for (const tensor of needed) {
    const other = found.find(({ name }) => name === tensor.name);
    if (other === undefined || sizeOf(other) !== sizeOf(tensor) || other.dtype !== tensor.dtype) {
      const given = other === undefined ? 'none' : `one of ${sizeOf(other)} values, ${other.dtype}`;
      throw new BundleInvalid(
        `${file}: ${kind} '${tensor.name}' of ${sizeOf(tensor)} values, ${tensor.dtype}, needed, ` +
          `it has ${given}; export the bundle again`,
      );
    }
  }
}

/** The page's own thread works, too. */
function takeWorkers(threads = Infinity): number {
  if (!threadsAvailable()) return 0;
  const cores = globalThis.navigator.hardwareConcurrency;
  const taken = Math.max(0, Math.min(spareWorkers, cores - 1, Math.floor(threads) - 1));
  spareWorkers -= taken;
  return taken;
}

async function loadRuntime(wasmPath: string): Promise<void> {
  loading ??= loadLiteRt(wasmPath, { threads: threadsAvailable() });
  try {
    await loading;
  } catch (error) {
    loading = undefined;
    throw new BackendUnavailable(
      `LiteRT.js can't be loaded from ${wasmPath} (${String(error)}); copy its wasm folder there`,
    );
  }
}

async function compile(
  content: Uint8Array,
  accelerator: 'wasm' | 'webgpu',
  numThreads: number,
  { file, minimumRuntime: minimum }: ModelFile,
): Promise<CompiledModel> {
  try {
    return await loadAndCompile(content, { accelerator, cpuOptions: { numThreads } });
  } catch (error) {
    if (accelerator === 'webgpu') {
      throw new BackendUnavailable(`WebGPU can't run ${file} (${String(error)}); use the accelerator 'wasm'`);
    }
    throw new RuntimeTooOld(
      `LiteRT.js can't load ${file} (${String(error)}); it needs ${minimum}, or the file is damaged: export again`,
    );
  }
}

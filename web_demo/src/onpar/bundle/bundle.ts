/** A bundle: read, checked against its checksums and signature, and only then used. */
import { BadInput, BundleInvalid, BundleNotFound, ChecksumMismatch } from './errors';
import { valuesOf, WIDTHS, type Values } from './values';
import { parseManifest, type GoldenTensor, type Manifest, type ModelFile } from './manifest';
import { sha256, verifySignature, type SignatureState } from './signature';

/** Where a bundle's files come from. */
export interface BundleSource {
  readonly name: string;
  /** The bytes of a file, or null if there is none. */
  read(path: string): Promise<Uint8Array<ArrayBuffer> | null>;
  /** All paths, where the source can list them; a server can't. */
  readonly paths?: readonly string[];
}

/** A folder on a server. */
export function httpSource(address: string | URL): BundleSource {
  const base = new URL(String(address).replace(/\/?$/, '/'), globalThis.location?.href);
  return {
    name: base.pathname.split('/').at(-2) ?? String(base),
    async read(path) {
      const response = await fetch(new URL(path, base)).catch(() => null);
      // A server that answers every unknown address with its start page has no such file either.
      if (!response?.ok || response.headers.get('content-type')?.startsWith('text/html')) return null;
      return new Uint8Array(await response.arrayBuffer());
    },
  };
}

/** A folder that the user chose (`<input type=file webkitdirectory>`). */
export function filesSource(files: Iterable<File>): BundleSource {
  const byPath = new Map(
    Array.from(files, (file) => [file.webkitRelativePath.split('/').slice(1).join('/') || file.name, file]),
  );
  const first = [...byPath.values()][0];
  return {
    name: first?.webkitRelativePath.split('/')[0] ?? 'chosen folder',
    paths: [...byPath.keys()],
    async read(path) {
      const file = byPath.get(path);
      return file === undefined ? null : new Uint8Array(await file.arrayBuffer());
    },
  };
}

export class Bundle {
  private constructor(
    readonly name: string,
    readonly manifest: Manifest,
    readonly signature: SignatureState,
    readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  ) {}

  /**
   * Read a bundle and check its signature and every checksum.
   *
   * @param source an address or a {@link BundleSource}.
   * @param trustedKey PEM of the public key that must have signed it.
   */
  static async open(source: string | URL | BundleSource, trustedKey?: string): Promise<Bundle> {
    const from = typeof source === 'string' || source instanceof URL ? httpSource(source) : source;
    const content = await from.read('bundle.json');
    if (content === null) {
      throw new BundleNotFound(
        `${from.name} has no bundle.json; give a folder that sdk_build.export --target web wrote`,
      );
    }
    const manifest = parseManifest(content);
    const signature = await from.read('SIGNATURE');
    if (signature === null) throw new ChecksumMismatch(`${from.name} lacks SIGNATURE; get the bundle again`);
    const state = await verifySignature(content, signature, trustedKey);
    return new Bundle(from.name, manifest, state, await readFiles(from, manifest));
  }

  /** A file that bundle.json lists. */
  file(path: string): Uint8Array<ArrayBuffer> {
    const content = this.files.get(path);
    if (content === undefined) throw new BundleInvalid(`bundle.json does not list '${path}'; export the bundle again`);
    return content;
  }

  /** The artifact for a runtime, if the bundle has one. */
  artifact(runtime: string): ModelFile | undefined {
    return this.manifest.modelFiles.find((entry) => entry.runtime === runtime);
  }

  /** The stored values of a golden tensor: all of them, or every stride-th. */
  golden(tensor: GoldenTensor): Values {
    const content = this.file(tensor.file);
    const size = tensor.shape.reduce((a, b) => a * b, 1);
    if (tensor.stride < 1 || content.byteLength !== WIDTHS[tensor.dtype] * Math.ceil(size / tensor.stride)) {
      throw new BundleInvalid(
        `${tensor.file} holds ${content.byteLength} bytes, which does not fit its shape; export again`,
      );
    }
    return valuesOf(content, tensor.dtype);
  }
}

async function readFiles(from: BundleSource, manifest: Manifest): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  await Promise.all(
    manifest.files.map(async (entry) => {
      const content = await from.read(entry.path);
      if (content === null) throw new ChecksumMismatch(`${from.name} lacks ${entry.path}; get the bundle again`);
      if ((await sha256(content)) !== entry.sha256) {
        throw new ChecksumMismatch(`${from.name}: ${entry.path} differs from its sha256; get the bundle again`);
      }
      files.set(entry.path, content);
    }),
  );
  const unlisted = from.paths?.find((path) => !files.has(path) && path !== 'bundle.json' && path !== 'SIGNATURE');
  if (unlisted !== undefined) {
    throw new BundleInvalid(`${from.name} holds ${unlisted}, which bundle.json does not list; remove it`);
  }
  return files;
}

export function demand(bundle: Bundle, result: string): void {
  const given = bundle.manifest.postprocess.result;
  if (given !== result) {
    throw new BadInput(`${bundle.name} gives ${given}; this class needs a bundle that gives ${result}`);
  }
}

/** Lets the tests reach the library, with the parts that an app does not see. */
import { getGlobalLiteRt } from '@litertjs/core';
import { animate } from '../src/examples/animate';
import { classify } from '../src/examples/classify';
import { findFaces } from '../src/examples/find_faces';
import { reconstructFaces } from '../src/examples/reconstruct_faces';
import * as onpar from '../src/onpar';
import * as finder from '../src/onpar/face_finder';
import * as meshes from '../src/onpar/face_mesh';
import * as tracker from '../src/onpar/face_tracker';
import * as manifest from '../src/onpar/manifest';
import * as metrics from '../src/onpar/metrics';
import * as postprocess from '../src/onpar/postprocess';
import * as preprocess from '../src/onpar/preprocess';
import * as signature from '../src/onpar/signature';
import * as square from '../src/onpar/square';

/** Size of LiteRT's WebAssembly memory. */
function wasmBytes(): number {
  return (getGlobalLiteRt().liteRtWasm as unknown as { HEAPU8: Uint8Array }).HEAPU8.byteLength;
}

/** The example of the documentation on a golden picture of the classifier that is there. */
async function classifyExample(bundles: string, wasmPath: string): Promise<string> {
  const names = (await (await fetch(`${bundles}index.json`)).json()) as string[];
  const address = `${bundles}${names.find((name) => name.startsWith('classifier-'))}`;
  const bundle = await onpar.Bundle.open(address);
  return classify(new Blob([bundle.file(bundle.manifest.golden[0]!.raw)]), wasmPath, address);
}

Object.assign(globalThis, {
  onpar: {
    ...onpar,
    ...finder,
    ...manifest,
    ...meshes,
    ...metrics,
    ...postprocess,
    ...preprocess,
    ...signature,
    ...square,
    ...tracker,
    wasmBytes,
    classifyExample,
    animate,
    findFaces,
    reconstructFaces,
  },
});

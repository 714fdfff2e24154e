// The library where a browser gives less than usual: no network, no shared memory, no WebGPU. Each alone and all at once.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DIST, launch, openLibrary, serve } from './browser.mjs';

const NAMES = JSON.parse(await readFile(join(DIST, 'bundles/index.json'), 'utf8'));
const NAME = NAMES.find((name) => name.startsWith('classifier-'));
let browser;

before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** What a page is like before its first script runs. */
const MISSING = {
  'shared memory': () => delete globalThis.SharedArrayBuffer,
  WebGPU: () => Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined }),
};

/** The golden proof in a page that lacks something; every request that would leave this machine fails and is told. */
async function prove(missing, accelerator) {
  const server = await serve();
  const context = await browser.newContext();
  const left = [];
  await context.route('**/*', (route) => {
    if (route.request().url().startsWith(server.address)) return route.continue();
    left.push(route.request().url());
    return route.abort();
  });
  for (const name of missing) await context.addInitScript(MISSING[name]);
  const page = await openLibrary(context, server);
  const found = await page.evaluate(
    async ([name, accelerator]) => {
      const bundle = await onpar.Bundle.open(`../bundles/${name}`);
      const options = { wasmPath: '../wasm/', accelerator };
      const report = await onpar.GoldenSelfTest.run(bundle, options).catch(
        (error) => `${error.name}: ${error.message}`,
      );
      return { report, threads: onpar.threadsAvailable(), gpu: await onpar.webGpuAvailable() };
    },
    [NAME, accelerator],
  );
  await context.close();
  await server.close();
  return { ...found, left };
}

describe('cut off', () => {
  test('without a network nothing is missed: the runtime comes with the page', async () => {
    const { report, left } = await prove([], 'wasm');
    assert.deepEqual(left, []);
    assert.ok(report.passed, JSON.stringify(report));
  });
  test('without shared memory one thread gives the same', async () => {
    const { report, threads, left } = await prove(['shared memory'], 'wasm');
    assert.deepEqual([threads, left], [false, []]);
    assert.ok(report.passed, JSON.stringify(report));
    assert.match(report.backend, /WebAssembly, 1 thread$/);
  });
  test('without WebGPU auto takes WebAssembly, and asking for it says so', async () => {
    const { report, gpu } = await prove(['WebGPU'], 'auto');
    assert.equal(gpu, false);
    assert.ok(report.passed, JSON.stringify(report));
    assert.match(report.backend, /WebAssembly/);
    assert.match((await prove(['WebGPU'], 'webgpu')).report, /^BackendUnavailable: /);
  });
  test('without all three it still works', async () => {
    const { report, left } = await prove(['shared memory', 'WebGPU'], 'auto');
    assert.deepEqual(left, []);
    assert.ok(report.passed, JSON.stringify(report));
    assert.match(report.backend, /WebAssembly, 1 thread$/);
  });
});

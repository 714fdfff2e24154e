// A static server and a real headless Chromium for the tests. Nothing leaves this machine.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
export const VECTORS = JSON.parse(await readFile(new URL('../../tests/vectors/vectors.json', import.meta.url), 'utf8'));

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
};

/**
 * Serve dist/.
 * @param isolated send the two headers that give a page threads.
 * @param replaced path -> bytes that are sent instead of the file, or null for "not found".
 */
export async function serve({ isolated = true, replaced = new Map() } = {}) {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname)).replace(
      /\/$/,
      '/index.html',
    );
    if (isolated) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    }
    try {
      const content = replaced.has(path) ? replaced.get(path) : await readFile(join(DIST, path));
      if (content === null) throw new Error('taken away by the test');
      response.setHeader('Content-Type', TYPES[extname(path)] ?? 'application/octet-stream');
      response.end(content);
    } catch {
      response.statusCode = 404;
      response.end('not found');
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  server.unref(); // a test that fails before it closes its server must not keep the run from ending
  return {
    address: `http://localhost:${server.address().port}/`,
    replaced,
    close: () => {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    },
  };
}

/** The system's Chromium. A camera that shows a test picture is built in. */
export function launch(...extra) {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const args = ['--no-sandbox', '--use-fake-device-for-media-stream', ...extra];
  return executablePath.reduce(
    (before, path) => before.catch(() => chromium.launch({ executablePath: path, args })),
    Promise.reject(new Error('no Chromium')),
  );
}

/** The page with the library on `globalThis.onpar`; fails on any error of the page itself. */
export async function openLibrary(browser, server) {
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error('page error:', error.message));
  await page.goto(`${server.address}tests/library.html`);
  await page.waitForFunction(() => 'onpar' in globalThis);
  await page.evaluate(() => {
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    globalThis.decode = {
      bytes,
      floats: (text) => new Float32Array(bytes(text).buffer),
      spec: (p) => ({ size: p.size, color: p.color, resize: p.resize, boxGrow: p.box_grow }),
      region: (r) => ({ left: r[0], top: r[1], width: r[2], height: r[3] }),
      /** Largest difference of two arrays; NaN and another length count as infinite. */
      difference: (a, b) =>
        a.length !== b.length
          ? Infinity
          : a.reduce((m, v, i) => (Number.isNaN(v) ? Infinity : Math.max(m, Math.abs(v - b[i]))), 0),
      regionDifference: (r, e) =>
        Math.max(Math.abs(r.left - e[0]), Math.abs(r.top - e[1]), Math.abs(r.width - e[2]), Math.abs(r.height - e[3])),
      plane: (p) => ({ data: bytes(p.data), rowStride: p.row_stride, pixelStride: p.pixel_stride }),
      /** Name of the error that a call ends with, or what it gave. */
      outcome: async (call) => {
        try {
          await call();
          return 'no error';
        } catch (error) {
          return `${error.name}: ${error.message}`;
        }
      },
    };
  });
  return page;
}

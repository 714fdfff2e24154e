import { cp } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const SOURCES = 'app_sources.safetensors';
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** LiteRT loads its WebAssembly by address at run time, so no bundler sees it. */
const copyWasm: Plugin = {
  name: 'copy-litert-wasm',
  closeBundle: () => cp(here('node_modules/@litertjs/core/wasm'), here('dist/wasm'), { recursive: true }),
};

/** The character that the page offers as a sample, and what drawings are moved with. */
const copyCharacter: Plugin = {
  name: 'copy-character',
  closeBundle: async () => {
    await cp(here('../models/motions/golden'), here('dist/characters'), { recursive: true });
    await cp(here(`../models/motions/${SOURCES}`), here(`dist/characters/${SOURCES}`));
  },
};

// Relative addresses: the page works from any folder of any server.
export default defineConfig({
  base: './',
  plugins: [copyWasm, copyCharacter],
  build: {
    target: 'es2022',
    rollupOptions: { input: [here('index.html'), here('tests/library.html')] },
  },
});

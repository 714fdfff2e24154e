// node tools/add_bundles.mjs FOLDER: copies the web bundles of FOLDER beside the built page and lists them for it.
// results.json, which the tests compare with, comes along where there is one.
import { access, cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = process.argv[2];
const target = fileURLToPath(new URL('../dist/bundles', import.meta.url));
if (folder === undefined) {
  console.error('add_bundles: give the folder that sdk_build.export --target web wrote into');
  process.exit(2);
}
const names = [];
for (const name of (await readdir(folder)).sort()) {
  const manifest = join(folder, name, 'bundle.json');
  const exists = await access(manifest).then(
    () => true,
    () => false,
  );
  if (!exists || JSON.parse(await readFile(manifest, 'utf8')).target !== 'web') continue;
  await cp(join(folder, name), join(target, name), { recursive: true });
  names.push(name);
}
if (names.length === 0) {
  console.error(`add_bundles: no web bundle in ${folder}; run python -m sdk_build.export --target web first`);
  process.exit(2);
}
await cp(join(folder, 'results.json'), join(target, 'results.json')).catch(() => undefined);
await writeFile(join(target, 'index.json'), JSON.stringify(names));
console.log(`bundles beside the page: ${names.join(', ')}`);

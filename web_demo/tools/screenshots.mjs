// node tools/screenshots.mjs FOLDER: pictures of the built page at desktop and phone width.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DIST, launch, serve } from '../tests/browser.mjs';

const folder = process.argv[2];
if (folder === undefined) {
  console.error('screenshots: give the folder to write to');
  process.exit(2);
}
await mkdir(folder, { recursive: true });
const DRAWING = fileURLToPath(new URL('../../tests/reference/animation/characters/char1/texture.jpg', import.meta.url));
const names = JSON.parse(await readFile(join(DIST, 'bundles/index.json'), 'utf8'));
const SIZES = {
  desktop: { viewport: { width: 1180, height: 860 }, deviceScaleFactor: 1 },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};
const DESKTOP = [
  'foreign_detector',
  'foreign_segmenter',
  'foreign_depth',
  'foreign_points',
  'classifier',
  'face_detector',
  'template_keypoints',
  'saliency',
  'voxel64',
  'face3d',
];
const PHONE = ['template_keypoints', 'saliency', 'voxel64', 'face3d'];
const SHOTS = [...DESKTOP.map((model) => [model, 'desktop']), ...PHONE.map((model) => [model, 'phone'])];
const server = await serve();
const browser = await launch();
for (const [model, size] of SHOTS) {
  const name = names.find((other) => other.startsWith(`${model}-`));
  if (name === undefined) continue;
  const context = await browser.newContext(SIZES[size]);
  const page = await context.newPage();
  page.setDefaultTimeout(120_000); // other work may own the machine; a picture is no measurement
  await page.goto(`${server.address}?bundle=${name}`);
  await page.waitForFunction(() => document.querySelector('#summary').textContent !== '');
  await page.click('#self-test');
  await page.waitForSelector('#checks:not([hidden])');
  await page.evaluate(() => scrollTo(0, 0));
  const file = join(folder, `web-${model}-${size}.png`);
  await page.screenshot({ path: file, fullPage: true });
  console.log(file);
  await context.close();
}
for (const size of Object.keys(SIZES)) {
  const context = await browser.newContext(SIZES[size]);
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(server.address);
  await page.waitForFunction(() => document.querySelector('#summary').textContent !== '');
  await page.setInputFiles('#drawing-file', DRAWING);
  await page.waitForFunction(() => /^Made here/.test(document.querySelector('#character-about').textContent));
  await page.evaluate(() => document.querySelector('#character-title').closest('section').scrollIntoView());
  const file = join(folder, `web-drawing-${size}.png`);
  await page.locator('section', { has: page.locator('#character-title') }).screenshot({ path: file });
  console.log(file);
  await context.close();
}
await browser.close();
await server.close();

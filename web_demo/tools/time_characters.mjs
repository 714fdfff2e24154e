// node tools/time_characters.mjs PICTURE...: how long the built page takes from a dropped drawing to its character.
// For each picture a new page: once with everything to be opened (motions, networks), then three times again.
import { basename } from 'node:path';
import { launch, serve } from '../tests/browser.mjs';

const pictures = process.argv.slice(2);
if (pictures.length === 0) {
  console.error('time_characters: give pictures of drawings');
  process.exit(2);
}
const AGAIN = 3;
const middle = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
const server = await serve();
const browser = await launch();
const [firsts, others] = [[], []];
console.log('| drawing | first | again | made |\n| --- | --- | --- | --- |');
for (const picture of pictures) {
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(server.address);
  await page.waitForFunction(() => document.querySelector('#summary').textContent !== '');
  const times = [];
  let told = '';
  for (let i = 0; i <= AGAIN; i++) {
    await page.evaluate(() => (document.querySelector('#character-about').textContent = ''));
    const began = performance.now();
    await page.setInputFiles('#drawing-file', picture);
    await page.waitForFunction(
      () =>
        /^Made here/.test(document.querySelector('#character-about').textContent) ||
        !document.querySelector('#character-alert').hidden,
    );
    times.push(performance.now() - began);
    told = await page.evaluate(
      () =>
        document.querySelector('#character-about').textContent ||
        document.querySelector('#character-alert').textContent,
    );
  }
  firsts.push(times[0]);
  others.push(middle(times.slice(1)));
  const said = told.replace(/^Made here in [\d.]+ s: /, '').slice(0, 70);
  console.log(`| ${basename(picture)} | ${seconds(times[0])} | ${seconds(others.at(-1))} | ${said} |`);
  await page.close();
}
console.log(`median of ${pictures.length}: first ${seconds(middle(firsts))}, again ${seconds(middle(others))}`);
await browser.close();
await server.close();

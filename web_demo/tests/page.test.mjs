// The page as a person uses it, in Chromium: pictures, camera, self-test, errors, keyboard, offline, phone width.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { DIST, launch, serve } from './browser.mjs';

const NAMES = JSON.parse(await readFile(join(DIST, 'bundles/index.json'), 'utf8'));
const byModel = (model) => NAMES.find((name) => name.startsWith(`${model}-`));
let browser, server;

before(async () => {
  server = await serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

/** The page with a bundle, once its first result is there; a fault of the page fails the test. */
async function open(model, { address = server.address, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1180, height: 900 }, ...options });
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(error.message));
  await page.goto(`${address}?bundle=${byModel(model)}`);
  await page.waitForFunction(
    () => document.querySelector('#summary').textContent !== '' || !document.querySelector('#alert').hidden,
  );
  return page;
}

async function close(page) {
  assert.deepEqual(page.faults, []);
  await page.context().close();
}

describe('results', () => {
  test('a class with its bars', async () => {
    const page = await open('classifier');
    assert.match(await page.textContent('#summary'), /\w+, \d+ %/);
    assert.equal(await page.locator('#scores li').count(), 5);
    assert.match(await page.textContent('#timings'), /ms/);
    await close(page);
  });
  test('points on a face', async () => {
    const page = await open('template_keypoints');
    assert.match(await page.textContent('#summary'), /68 points/);
    await close(page);
  });
  test('a mask dims what does not stand out', async () => {
    const page = await open('saliency');
    assert.match(await page.textContent('#summary'), /\d+ % of the picture stands out/);
    // The golden picture shows a cat in front of a wall: corners are dimmed, the middle is not.
    const [corner, middle] = await page.evaluate(() => {
      const canvas = document.querySelector('#view');
      const light = (x, y) =>
        canvas
          .getContext('2d')
          .getImageData(x, y, 9, 9)
          .data.reduce((a, b) => a + b, 0);
      return [light(4, 4), light(canvas.width / 2, canvas.height / 2)];
    });
    assert.ok(middle > corner, `${middle} ${corner}`);
    await close(page);
  });
  test('a mesh of a face', { skip: byModel('face3d') === undefined && 'no face3d bundle in this run' }, async () => {
    const page = await open('face3d');
    assert.match(await page.textContent('#summary'), /^turned \d+° (right|left), \d+° (down|up), tilted/);
    const golden = join(DIST, 'bundles', byModel('face_detector'), 'golden/input_0.png');
    await page.setInputFiles('#file', golden);
    await page.waitForFunction(() => /turned|faces/.test(document.querySelector('#summary').textContent));
    await close(page);
  });
  test('a solid that turns', async () => {
    const page = await open('voxel64');
    assert.match(await page.textContent('#summary'), /of 64³ voxels filled/);
    const picture = () => page.evaluate(() => document.querySelector('#view').toDataURL());
    const before = await picture();
    await page.focus('#turn');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    assert.notEqual(await picture(), before);
    assert.equal(await page.isVisible('#camera'), false);
    await close(page);
  });
  for (const [model, summary] of [
    ['foreign_detector', /^\d+ objects?$/],
    ['foreign_segmenter', /^\d covers most: \d+ %$/],
    ['foreign_depth', /^depth as relative depth, near is bright$/],
    ['foreign_points', /^3 points$/],
  ]) {
    const skip = byModel(model) === undefined && `no ${model} bundle in this run`;
    test(`a network that the page does not know: ${model}`, { skip }, async () => {
      const page = await open(model);
      assert.match(await page.textContent('#summary'), summary);
      const changed = await page.evaluate(() => {
        const shown = document.querySelector('#view');
        const plain = new OffscreenCanvas(shown.width, shown.height).getContext('2d');
        plain.drawImage(document.querySelector('#samples canvas'), 0, 0, shown.width, shown.height);
        const [a, b] = [shown.getContext('2d'), plain].map((c) => c.getImageData(0, 0, shown.width, shown.height).data);
        return a.filter((value, i) => Math.abs(value - b[i]) > 60).length;
      });
      assert.ok(changed > 50, `the result is drawn on the picture: ${changed}`);
      await close(page);
    });
  }
  test(
    'a network that takes tensors is refused in one line',
    { skip: byModel('foreign_twin') === undefined && 'no foreign_twin bundle in this run' },
    async () => {
      const page = await open('foreign_twin');
      assert.match(await page.textContent('#alert'), /^BackendUnavailable: foreign_twin\S+ takes tensors.*TensorModel/);
      await close(page);
    },
  );
  test('another bundle of the list', async () => {
    const page = await open('classifier');
    await page.selectOption('#bundle', byModel('voxel64'));
    await page.waitForFunction(() => document.querySelector('#summary').textContent.includes('voxels'));
    assert.equal(await page.locator('#scores li').count(), 0);
    await close(page);
  });
  test('a file, and a file that is no picture', async () => {
    const page = await open('classifier');
    const before = await page.textContent('#summary');
    await page.setInputFiles('#file', join(DIST, 'bundles', byModel('template_keypoints'), 'golden/input_1.png'));
    await page.waitForFunction((text) => document.querySelector('#summary').textContent !== text, before);
    await page.setInputFiles('#file', { name: 'x.png', mimeType: 'image/png', buffer: Buffer.from('no picture') });
    await page.waitForSelector('#alert:not([hidden])');
    assert.match(await page.textContent('#alert'), /^BadInput: .*no picture/);
    await page.setInputFiles('#file', join(DIST, 'bundles', byModel('voxel64'), 'golden/input_0.png'));
    await page.waitForFunction(() => document.querySelector('#alert').textContent.includes('depth map'));
    await close(page);
  });
  test('a folder that the user opens', async () => {
    const page = await open('voxel64');
    await page.setInputFiles('#folder', join(DIST, 'bundles', byModel('classifier')));
    await page.waitForFunction(() => document.querySelectorAll('#scores li').length === 5);
    await close(page);
  });
  test('timed runs', async () => {
    const page = await open('classifier');
    await page.click('#time');
    await page.waitForFunction(() => document.querySelector('#timed').textContent.includes('median'), undefined, {
      timeout: 60_000,
    });
    await close(page);
  });
});

describe('the proof', () => {
  test('passes and shows its limits', async () => {
    const page = await open('classifier');
    await page.click('#self-test');
    await page.waitForSelector('#checks:not([hidden])');
    assert.match(await page.textContent('#verdict'), /^Proved: /);
    assert.ok((await page.locator('#checks tbody tr').count()) >= 3);
    await close(page);
  });
});

describe('a character', () => {
  test('plays at phone width, proves itself, stops, and names a damaged file', async () => {
    const page = await open('classifier', { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await page.click('#character-sample');
    await page.waitForSelector('#character-view:not([hidden])');
    assert.match(await page.textContent('#character-verdict'), /^Proved: golden poses within/);
    const picture = () => page.evaluate(() => document.querySelector('#character-view').toDataURL());
    const first = await picture();
    await page.waitForFunction((p) => document.querySelector('#character-view').toDataURL() !== p, first);
    const moving = await picture();
    await page.waitForFunction((p) => document.querySelector('#character-view').toDataURL() !== p, moving);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
    await page.click('#character-play');
    assert.equal(await page.textContent('#character-play'), 'Play');
    await page.setInputFiles('#character-file', { name: 'x.safetensors', mimeType: '', buffer: Buffer.from('text') });
    await page.waitForSelector('#character-alert:not([hidden])');
    assert.match(await page.textContent('#character-alert'), /^BundleInvalid: x.safetensors is no character file/);
    await close(page);
  });
});

describe('a drawing', () => {
  const CHARACTERS = '../../tests/reference/animation/characters';
  const drawing = new URL(`${CHARACTERS}/char1/texture.jpg`, import.meta.url).pathname;
  const made = (page) =>
    page.waitForFunction(() => /^Made here/.test(document.querySelector('#character-about').textContent));

  test('comes alive without a server, and moves as another kind when told so', async () => {
    const page = await open('classifier', { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await page.setInputFiles('#drawing-file', drawing);
    await made(page);
    assert.match(
      await page.textContent('#character-about'),
      /^Made here in [\d.]+ s: on two feet \(\d+ % sure\), seen from the front, 1\d joints/,
    );
    const picture = () => page.evaluate(() => document.querySelector('#character-view').toDataURL());
    const first = await picture();
    await page.waitForFunction((p) => document.querySelector('#character-view').toDataURL() !== p, first);
    assert.deepEqual(await page.locator('#character-clip option').allTextContents(), [
      'walk',
      'run',
      'idle',
      'wave',
      'kick',
    ]);
    await page.selectOption('#character-clip', 'run');
    await page.selectOption('#drawing-topology', 'many_feet');
    await page.waitForFunction(() => /on many feet/.test(document.querySelector('#character-about').textContent));
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
    await close(page);
  });
  test('is dropped on its field', async () => {
    const page = await open('classifier');
    const transfer = await page.evaluateHandle(
      async (text) => {
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], 'char4.jpg', { type: 'image/jpeg' }));
        return data;
      },
      (await readFile(drawing.replace('char1', 'char4'))).toString('base64'),
    );
    await page.dispatchEvent('#drawing-drop', 'drop', { dataTransfer: transfer });
    await made(page);
    await close(page);
  });
  test('that shows nothing is named', async () => {
    const page = await open('classifier');
    const empty = await page.evaluate(async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 200, height: 200 });
      canvas.getContext('2d').fillStyle = '#fff';
      canvas.getContext('2d').fillRect(0, 0, 200, 200);
      return canvas.toDataURL().split(',')[1];
    });
    await page.setInputFiles('#drawing-file', { name: 'a.png', mimeType: '', buffer: Buffer.from(empty, 'base64') });
    await page.waitForSelector('#character-alert:not([hidden])');
    assert.match(await page.textContent('#character-alert'), /^BadInput: nothing in the picture differs/);
    await close(page);
  });
});

describe('what goes wrong', () => {
  test('a damaged bundle is named', async () => {
    const damaged = await serve({
      replaced: new Map([[`/bundles/${byModel('classifier')}/model.tflite`, Buffer.from('x')]]),
    });
    const page = await open('classifier', { address: damaged.address });
    assert.match(await page.textContent('#alert'), /^ChecksumMismatch: .*model.tflite/);
    await close(page);
    await damaged.close();
  });
  test('no permission for the camera', async () => {
    const page = await open('classifier');
    await page.click('#camera');
    await page.waitForSelector('#alert:not([hidden])');
    assert.match(await page.textContent('#alert'), /^BadInput: the camera can't be used \(NotAllowedError\); allow it/);
    assert.equal(await page.getAttribute('#camera', 'aria-pressed'), 'false');
    await close(page);
  });
  test('no bundle beside the page', async () => {
    const bare = await serve({ replaced: new Map([['/bundles/index.json', null]]) });
    const page = await (await browser.newContext()).newPage();
    await page.goto(bare.address);
    await page.waitForFunction(() => document.querySelector('#about').textContent.includes('No bundle'));
    await page.context().close();
    await bare.close();
  });
});

describe('faces', () => {
  test('every face of a file is found where a detector lies beside the page', async () => {
    const page = await open('template_keypoints');
    const golden = (number) => join(DIST, 'bundles', byModel('face_detector'), `golden/input_${number}.png`);
    await page.setInputFiles('#file', golden(0));
    await page.waitForFunction(() => /^\d+ faces?, 68 points/.test(document.querySelector('#summary').textContent));
    await close(page);
  });
  test('the camera searches, too', async () => {
    const page = await open('template_keypoints', { permissions: ['camera'] });
    await page.click('#camera');
    await page.waitForFunction(() => /no face|\d face/.test(document.querySelector('#summary').textContent));
    await page.click('#camera');
    await close(page);
  });
});

describe('the camera', () => {
  test('gives results until it is stopped', async () => {
    const page = await open('classifier', { permissions: ['camera'] });
    await page.click('#camera');
    await page.waitForFunction(() => document.querySelector('#camera').getAttribute('aria-pressed') === 'true');
    const first = await page.evaluate(() => document.querySelector('#view').toDataURL());
    await page.waitForFunction((before) => document.querySelector('#view').toDataURL() !== before, first);
    await page.click('#camera');
    assert.equal(await page.textContent('#camera'), 'Start the camera');
    await close(page);
  });
});

describe('everywhere', () => {
  test('works offline after the first load, with threads from its worker', async () => {
    const plain = await serve({ isolated: false });
    const page = await open('classifier', { address: plain.address });
    await page.waitForSelector('#offline:not([hidden])');
    await plain.close();
    await page.reload();
    await page.waitForFunction(() => document.querySelector('#summary').textContent !== '');
    assert.match(await page.textContent('#backend'), availableParallelism() > 1 ? /threads/ : /1 thread/);
    await page.click('#self-test');
    await page.waitForSelector('#checks:not([hidden])');
    assert.match(await page.textContent('#verdict'), /^Proved/);
    await close(page);
  });
  test('fits a phone: nothing is wider than the screen, targets are large enough', async () => {
    for (const model of ['classifier', 'voxel64']) {
      const page = await open(model, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
      await page.click('#self-test');
      await page.waitForSelector('#checks:not([hidden])');
      const [wide, small] = await page.evaluate(() => [
        document.documentElement.scrollWidth,
        [...document.querySelectorAll('button, select, .button')]
          .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 44)
          .map((e) => e.id),
      ]);
      assert.ok(wide <= 360, `the page is ${wide} pixels wide`);
      assert.deepEqual(small, []);
      await close(page);
    }
  });
  test('every control has a name and is reached by the keyboard', async () => {
    const page = await open('voxel64');
    const unnamed = await page.evaluate(() =>
      [...document.querySelectorAll('button, input, select, canvas[role]')]
        .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent.trim()))
        .map((e) => e.outerHTML),
    );
    assert.deepEqual(unnamed, []);
    const seen = new Set();
    for (let i = 0; i < 16; i++) {
      await page.keyboard.press('Tab');
      seen.add(
        await page.evaluate(
          () =>
            document.activeElement.id ||
            document.activeElement.className ||
            document.activeElement.getAttribute('aria-label'),
        ),
      );
    }
    for (const id of ['skip', 'bundle', 'folder', 'Golden input 1', 'file', 'time', 'turn', 'self-test'])
      assert.ok(seen.has(id), `${id} in ${[...seen]}`);
    await close(page);
  });
  test('text stands out from its ground, light and dark', async () => {
    for (const colorScheme of ['light', 'dark']) {
      const page = await open('classifier', { colorScheme });
      await page.click('#self-test');
      await page.waitForSelector('#checks:not([hidden])');
      const weak = await page.evaluate(() => {
        const channels = (color) =>
          color
            .match(/[\d.]+/g)
            .slice(0, 3)
            .map((v) => {
              const s = v / 255;
              return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
            });
        const light = (color) => {
          const [r, g, b] = channels(color);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = (e) => {
          for (let n = e; n; n = n.parentElement) {
            const c = getComputedStyle(n).backgroundColor;
            if (!c.endsWith(', 0)')) return c;
          }
          return 'rgb(255, 255, 255)';
        };
        return [...document.querySelectorAll('p, h1, h2, h3, td, th, dt, dd, span, button, output, .button')]
          .filter((e) => e.offsetParent && e.textContent.trim())
          .map((e) => {
            const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
            return [e.tagName + '#' + e.id, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
          })
          .filter(([, contrast]) => contrast < 4.5);
      });
      assert.deepEqual(weak, [], colorScheme);
      await close(page);
    }
  });
});

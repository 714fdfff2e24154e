// Face meshes in Chromium: the vectors that Python wrote, damaged topologies, and the pipeline on scripted answers.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, openLibrary, serve, VECTORS } from './browser.mjs';

let browser, server, page;

before(async () => {
  server = await serve();
  browser = await launch();
  page = await openLibrary(browser, server);
  await page.evaluate((content) => {
    globalThis.topology = new onpar.FaceTopology(decode.bytes(content));
    globalThis.outputsOf = (c) => Object.fromEntries(c.outputs.map((o) => [o.name, decode.floats(o.values)]));
    globalThis.meshOf = (c, outputs = outputsOf(c)) =>
      onpar.toFaceMesh(outputs, { manifest: { id: 'vector' }, region: decode.region(c.region) }, topology);
  }, VECTORS.topologies[0].content);
});
after(async () => {
  await browser?.close();
  await server?.close();
});

describe('meshes', () => {
  for (const item of VECTORS.meshes) {
    test(item.name, async () => {
      const { differences, next, pose, expression } = await page.evaluate((c) => {
        const face = meshOf(c);
        const apart = (values, name) => decode.difference(values, decode.floats(c.expected[name]));
        return {
          differences: {
            vertices: apart(face.verticesPx, 'vertices_px'),
            neutral: apart(face.neutral, 'neutral'),
            rotation: apart(face.rotation, 'rotation') * 100,
            shape: apart(face.shape(), 'shape') * 10,
            landmarks: apart(face.landmarksPx(), 'landmarks_px'),
            scale: Math.abs(face.scalePx - c.expected.scale_px),
            center: decode.difference(face.centerPx, c.expected.center_px),
          },
          next: decode.regionDifference(onpar.regionAround(face.landmarksPx()), c.expected.next_region),
          pose: face.poseDegrees,
          expression: face.expression(),
        };
      }, item);
      for (const [name, difference] of Object.entries(differences)) assert.ok(difference <= 1e-4, name);
      assert.ok(next <= 1e-3);
      const plain = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
      for (const [found, wanted] of [
        [pose, item.expected.pose_degrees],
        [expression, item.expected.expression],
      ]) {
        assert.deepEqual(Object.keys(found).sort(), Object.keys(wanted).map(plain).sort());
        for (const [name, value] of Object.entries(wanted))
          assert.ok(Math.abs(found[plain(name)] - value) <= 1e-4, name);
      }
    });
  }
  // Without a difference the vectors could not tell such a fault.
  for (const [fault, change] of Object.entries({
    'exchanged outputs': '({ vertices, neutral }) => ({ vertices: neutral, neutral: vertices })',
    'exchanged axes': '({ vertices: v }) => ({ vertices: v.map((_, i) => v[i - (i % 3) + [1, 0, 2][i % 3]]) })',
    'a quaternion with w last': '({ pose: p }) => ({ pose: p.map((_, i) => p[i < 4 ? (i + 1) % 4 : i]) })',
    'an exchanged shift': '({ pose: p }) => ({ pose: p.map((_, i) => p[[0, 1, 2, 3, 4, 6, 5][i]]) })',
  })) {
    test(`${fault} are seen`, async () => {
      const worst = await page.evaluate(
        ([c, source]) => {
          const outputs = outputsOf(c);
          const face = meshOf(c, { ...outputs, ...eval(source)(outputs) });
          const apart = (values, name) => decode.difference(values, decode.floats(c.expected[name]));
          return Math.max(apart(face.verticesPx, 'vertices_px'), apart(face.shape(), 'shape'));
        },
        [VECTORS.meshes.find((c) => c.name === 'all at once'), change],
      );
      assert.ok(worst > 0.1, `differs by ${worst}`);
    });
  }
  test('an OBJ file holds the shape in metres and the triangles', async () => {
    const [vertices, faces] = await page.evaluate((c) => {
      const lines = meshOf(c)
        .toObj()
        .trim()
        .split('\n')
        .map((line) => line.split(' '));
      const numbers = (kind) => lines.filter((line) => line[0] === kind).flatMap((line) => line.slice(1).map(Number));
      return [
        decode.difference(
          numbers('v').map((v) => 10 * v),
          decode.floats(c.expected.shape),
        ),
        numbers('f'),
      ];
    }, VECTORS.meshes[4]);
    assert.ok(vertices <= 1e-5);
    assert.deepEqual(
      faces.map((number) => number - 1),
      VECTORS.topologies[0].triangles,
    );
  });
  test('other outputs than the topology has are refused', async () => {
    const outcomes = await page.evaluate((c) => {
      const outputs = outputsOf(c);
      return Promise.all(
        Object.entries(outputs).flatMap(([name, values]) => [
          decode.outcome(() => meshOf(c, { ...outputs, [name]: values.slice(3) })),
          decode.outcome(() => meshOf(c, { ...outputs, [name]: undefined })),
        ]),
      );
    }, VECTORS.meshes[0]);
    assert.equal(outcomes.length, 6);
    for (const outcome of outcomes) assert.match(outcome, /^BundleInvalid: .*export the bundle again/);
  });
});

describe('topologies', () => {
  for (const { name, content } of VECTORS.topologies.slice(1)) {
    test(`${name}: refused`, async () => {
      const outcome = await page.evaluate(
        (text) => decode.outcome(() => new onpar.FaceTopology(decode.bytes(text))),
        content,
      );
      assert.match(outcome, /^BundleInvalid: .*export the bundle again/);
    });
  }
});

describe('the mesh pipeline', () => {
  /** Bundles that say no more than the pipeline asks; the landmarks lie in the middle half of the crop. */
  const OPEN = `async ({ results = ['FaceBoxes', 'FaceMesh'], fail = -1, most = 8, content, value } = {}) => {
    globalThis.closings = 0;
    const bundles = results.map((result, i) => ({
      name: 'bundle ' + i,
      file: () => decode.bytes(content),
      manifest: {
        id: 'bundle ' + i,
        postprocess: { result, threshold: 0.5 },
        preprocess: { size: [32, 32], color: 'RGB', resize: 'contain', boxGrow: 0 },
      },
    }));
    const vertices = Float32Array.from({ length: 240 }, (_, i) => value ?? 0.25 + 0.5 * ((37 * i) % 101) / 100);
    const pose = Float32Array.of(1, 0, 0, 0, 0.4, 0.5, 0.5);
    const load = async (bundle) => {
      const number = bundles.indexOf(bundle);
      if (number === fail) throw new onpar.BackendUnavailable('none');
      const faces = Float32Array.of(0.2, 0.3, 0.6, 0.7, 0.9, ...new Array(10).fill(0.5));
      const run = async () => {
        await globalThis.held;
        return number === 0 ? { faces } : { vertices, neutral: vertices, pose };
      };
      return { backend: 'script', run, close: () => closings++ };
    };
    return onpar.FaceMeshPipeline.open(bundles, load, { most });
  }`;
  const PICTURE = 'new onpar.Picture(96, 72, new Uint8Array(3 * 96 * 72))';
  const [GOOD, DAMAGED] = VECTORS.topologies.map(({ content }) => content);

  test('the second look is around the landmarks of the first; closed for good', async () => {
    const found = await page.evaluate(
      async ([open, picture, content]) => {
        const pipeline = await eval(open)({ content });
        const { value, timings, backend } = await pipeline.detect(eval(picture));
        await pipeline.close();
        await pipeline.close();
        const refused = await decode.outcome(() => pipeline.detect(eval(picture)));
        return { regions: value.map((face) => face.region), timings, backend, closings, refused };
      },
      [OPEN, PICTURE, GOOD],
    );
    assert.equal(found.regions.length, 1);
    const { left, top, width } = found.regions[0];
    // 1.4 of the longer side of the box in the 96 x 96 square, then 1.6 of the landmarks' box, half as long.
    assert.ok(Math.abs(width - 1.4 * 0.4 * 96 * 0.5 * 1.6) < 4, `${width}`);
    assert.ok(Math.abs(left + width / 2 - 0.4 * 96) < 3 && Math.abs(top + width / 2 - (0.5 * 96 - 12)) < 3);
    assert.ok(Object.values(found.timings).every((ms) => ms >= 0) && found.timings.preMs > 0);
    assert.deepEqual([found.backend, found.closings], ['script', 2]);
    assert.match(found.refused, /^BadInput: .*closed/);
  });

  test('video: late and overlapping frames are dropped', async () => {
    const found = await page.evaluate(
      async ([open, source, content]) => {
        const pipeline = await eval(open)({ content });
        const picture = eval(source);
        const answers = [];
        for (const time of [10, 30, 30, 20, 40])
          answers.push((await pipeline.detectForVideo(picture, time))?.value.length ?? null);
        let release;
        globalThis.held = new Promise((done) => (release = done));
        const running = pipeline.detectForVideo(picture, 50);
        answers.push(await pipeline.detectForVideo(picture, 60));
        release();
        globalThis.held = undefined;
        answers.push((await running).value.length);
        await pipeline.close();
        return answers;
      },
      [OPEN, PICTURE, GOOD],
    );
    assert.deepEqual(found, [1, 1, null, null, 1, null, 1]);
  });

  test('landmarks that are no numbers are no face', async () => {
    const count = await page.evaluate(
      async ([open, picture, content]) =>
        (await (await eval(open)({ content, value: Number.NaN })).detect(eval(picture))).value.length,
      [OPEN, PICTURE, GOOD],
    );
    assert.equal(count, 0);
  });

  for (const [name, options, pattern] of [
    ['bundles in another order', { results: ['FaceMesh', 'FaceBoxes'] }, /^BadInput: bundle 0 gives FaceMesh/],
    ['no faces at all', { most: 0 }, /^BadInput: most is 0/],
    ['a runner that fails', { fail: 1 }, /^BackendUnavailable/],
    ['a damaged topology', { content: DAMAGED }, /^BundleInvalid: bundle 1: topology/],
  ]) {
    test(`${name}: refused, and nothing stays open`, async () => {
      const [outcome, closed] = await page.evaluate(
        async ([open, given]) => [await decode.outcome(() => eval(open)(given)), globalThis.closings],
        [OPEN, { content: GOOD, ...options }],
      );
      assert.match(outcome, pattern);
      assert.equal(closed, name === 'a runner that fails' ? 1 : 0);
    });
  }
});

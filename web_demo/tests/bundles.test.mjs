// Real bundles in Chromium: the golden proof, Python's results, damaged bundles, two calls at once, closing, memory.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { DIST, launch, openLibrary, serve } from './browser.mjs';

const EVERY = JSON.parse(await readFile(join(DIST, 'bundles/index.json'), 'utf8'));
/** Float16 and truth values, which LiteRT.js does not know. */
const OTHER_TYPES = EVERY.find((name) => name.startsWith('foreign_types-'));
const NAMES = EVERY.filter((name) => name !== OTHER_TYPES);
const TENSORS = NAMES.find((name) => name.startsWith('foreign_twin-'));
const RESULTS = JSON.parse(await readFile(join(DIST, 'bundles/results.json'), 'utf8'));
const CLASSIFIER = NAMES.find((name) => name.startsWith('classifier-'));
const TASKS = {
  image_classification: 'ImageClassifier',
  face_detection: 'FaceDetector',
  face_keypoints: 'FaceKeypointDetector',
  depth_to_voxels: 'DepthVoxelizer',
  salient_object_detection: 'SaliencySegmenter',
  face_reconstruction: 'FaceReconstructor',
  object_detection: 'ObjectDetector',
  image_segmentation: 'ImageSegmenter',
  depth_estimation: 'DepthEstimator',
  keypoints: 'KeypointDetector',
  embedding: 'ImageEmbedder',
  image_to_image: 'ImageToImage',
};
/** On one core a page works alone, isolated or not. */
const THREADS = availableParallelism() > 1 ? /WebAssembly, threads$/ : /WebAssembly, 1 thread$/;
const manifestOf = async (name) => JSON.parse(await readFile(join(DIST, 'bundles', name, 'bundle.json'), 'utf8'));
let browser, server, page;

before(async () => {
  server = await serve();
  browser = await launch();
  page = await openLibrary(browser, server);
});
after(async () => {
  await browser?.close();
  await server?.close();
});

describe('golden proof', () => {
  for (const name of NAMES) {
    test(`${name} passes its own limits`, async () => {
      const report = await page.evaluate(
        async (n) => onpar.GoldenSelfTest.run(await onpar.Bundle.open(`../bundles/${n}`), { wasmPath: '../wasm/' }),
        name,
      );
      assert.ok(report.passed, JSON.stringify(report.checks));
      const { preprocess, spec } = await manifestOf(name);
      const proved = new Set(report.checks.map((check) => check.name.split(':')[0]));
      assert.deepEqual([...proved], [...(preprocess ? ['preprocessing'] : []), ...spec.outputs.map((t) => t.name)]);
      assert.match(report.backend, THREADS);
    });
  }
  test('one thread gives the same where the page is not isolated', async () => {
    const plain = await serve({ isolated: false });
    const other = await openLibrary(browser, plain);
    const report = await other.evaluate(
      async (n) => onpar.GoldenSelfTest.run(await onpar.Bundle.open(`../bundles/${n}`), { wasmPath: '../wasm/' }),
      CLASSIFIER,
    );
    assert.ok(report.passed);
    assert.match(report.backend, /1 thread/);
    await other.close();
    await plain.close();
  });
  test('without a GPU, auto falls back and webgpu says so', async () => {
    const [available, backend, outcome] = await page.evaluate(async (n) => {
      const bundle = await onpar.Bundle.open(`../bundles/${n}`);
      const runner = await onpar.LiteRtRunner.load(bundle, { wasmPath: '../wasm/', accelerator: 'auto' });
      runner.close();
      const available = await onpar.webGpuAvailable();
      const outcome = available
        ? ''
        : await decode.outcome(() => onpar.LiteRtRunner.load(bundle, { wasmPath: '../wasm/', accelerator: 'webgpu' }));
      return [available, runner.backend, outcome];
    }, CLASSIFIER);
    assert.match(backend, available ? /WebGPU/ : /WebAssembly/);
    if (!available) assert.match(outcome, /^BackendUnavailable: /);
  });
  for (const [fault, change] of Object.entries({
    'a swapped channel': '(t, n) => { for (let i = 0; i < n; i++) [t[i], t[2 * n + i]] = [t[2 * n + i], t[i]]; }',
    'a shift by half a pixel':
      '(t, n, w) => { for (let i = 0; i + 1 < 3 * n; i++) if (i % w !== w - 1) t[i] = (t[i] + t[i + 1]) / 2; }',
    'a mean taken off outside the model': '(t) => { for (let i = 0; i < t.length; i++) t[i] -= 0.45; }',
  })) {
    test(`${fault} turns the self-test red`, async () => {
      const report = await page.evaluate(
        async ([n, source]) => {
          const bundle = await onpar.Bundle.open(`../bundles/${n}`);
          const spoil = eval(source);
          const [height, width] = bundle.manifest.preprocess.size;
          const runner = await onpar.LiteRtRunner.load(bundle, { wasmPath: '../wasm/' });
          const inner = runner.runTensors.bind(runner);
          // The fault sits where a wrong preprocessing would put it: in the tensor that the model gets.
          const spoiled = {
            backend: 'spoiled',
            close() {},
            runTensors: ({ image }) => {
              const copy = image.slice();
              spoil(copy, height * width, width);
              return inner({ image: copy });
            },
          };
          try {
            return await onpar.GoldenSelfTest.run(bundle, {}, spoiled);
          } finally {
            runner.close();
          }
        },
        [CLASSIFIER, change],
      );
      assert.equal(report.passed, false, JSON.stringify(report.checks));
    });
  }
});

test('many open models at once never wait for a thread that can not start', async () => {
  const backends = await page.evaluate(async (name) => {
    const bundle = await onpar.Bundle.open(`../bundles/${name}`);
    const runners = [];
    for (let i = 0; i < navigator.hardwareConcurrency + 3; i++) {
      runners.push(await onpar.LiteRtRunner.load(bundle, { wasmPath: '../wasm/' }));
      await runners.at(-1).run(new Float32Array(bundle.manifest.modelFiles[0].inputs[0].shape.reduce((a, b) => a * b)));
    }
    for (const runner of runners) runner.close();
    return runners.map((runner) => runner.backend);
  }, CLASSIFIER);
  assert.match(backends[0], THREADS);
  assert.match(backends.at(-1), /1 thread$/);
});

const bytes = (text) => Uint8Array.from(Buffer.from(text, 'base64'));
const floats = (text) => new Float32Array(bytes(text).buffer);
const near = (a, b, limit) => a.length === b.length && b.every((value, i) => Math.abs(value - a[i]) <= limit);
const named = (...models) => models.map((model) => NAMES.find((name) => name.startsWith(`${model}-`)));

describe('several bundles at once', () => {
  const cascade = named('face_detector', 'face_detector_refined');
  test(
    "Python's judged boxes",
    { skip: cascade.includes(undefined) && 'its bundles are not among those of this run' },
    async () => {
      const found = await page.evaluate(async (names) => {
        const [detector, refined] = await Promise.all(names.map((name) => onpar.Bundle.open(`../bundles/${name}`)));
        const pipeline = await onpar.FaceDetector.fromBundles(detector, refined, { wasmPath: '../wasm/' });
        const values = [];
        for (const [i, { raw }] of detector.manifest.golden.entries()) {
          const picture = await onpar.Picture.fromBlob(new Blob([detector.file(raw)]));
          for (const { value } of [await pipeline.detect(picture), await pipeline.detectForVideo(picture, i + 1)]) {
            const faces = value.faces.map(({ boxPx, pointsPx }) => [...boxPx, ...pointsPx]);
            values.push({ faces, scores: value.faces.map(({ score }) => score) });
          }
        }
        const late = await pipeline.detectForVideo(
          await onpar.Picture.fromBlob(new Blob([detector.file(detector.manifest.golden[0].raw)])),
          0,
        );
        await pipeline.close();
        return { values, late };
      }, cascade);
      assert.equal(found.late, null);
      const expected = RESULTS['face_boxes_judged-web'].flatMap((item) => [item, item]);
      assert.equal(found.values.length, expected.length);
      for (const [i, { faces, scores }] of expected.entries()) {
        assert.ok(
          faces.length > 0 && near(found.values[i].scores, scores, 0.002),
          `${found.values[i].scores} ${scores}`,
        );
        for (const [j, row] of faces.entries()) assert.ok(near(found.values[i].faces[j], floats(row), 0.05));
      }
    },
  );
  for (const [what, task, part, result, models] of [
    ['faces', 'FaceKeypointDetector', 'pointsPx', 'face_pipeline-web', ['template_keypoints']],
    [
      'refined faces',
      'FaceKeypointDetector',
      'pointsPx',
      'face_pipeline_refined-web',
      ['template_keypoints', 'template_keypoints_refined'],
    ],
    [
      'judged faces',
      'FaceKeypointDetector',
      'pointsPx',
      'face_pipeline_judged-web',
      ['template_keypoints', 'face_detector_refined'],
    ],
    ['meshes', 'FaceReconstructor', 'verticesPx', 'face_meshes-web', ['face3d']],
  ]) {
    const names = named('face_detector', ...models);
    const skip = names.includes(undefined) && 'its bundles are not among those of this run';
    test(`Python's ${what}, in pictures and in a video`, { skip }, async () => {
      const found = await page.evaluate(
        async ([task, part, names]) => {
          const bundles = await Promise.all(names.map((name) => onpar.Bundle.open(`../bundles/${name}`)));
          const judges = bundles[2]?.manifest.labels.includes('face');
          const options = { wasmPath: '../wasm/', detectorRefined: judges ? bundles[2] : null };
          const refined = judges ? null : (bundles[2] ?? null);
          const others = task === 'FaceReconstructor' ? [options] : [refined, options];
          const pipeline = await onpar[task].fromBundles(bundles[0], bundles[1], ...others);
          const values = [];
          for (const [i, { raw }] of bundles[0].manifest.golden.entries()) {
            const picture = await onpar.Picture.fromBlob(new Blob([bundles[0].file(raw)]));
            await pipeline.reset?.();
            for (const { value } of [await pipeline.detect(picture), await pipeline.detectForVideo(picture, i + 1)]) {
              values.push(value.map((face) => [...face[part]]));
            }
          }
          await pipeline.close();
          return values;
        },
        [task, part, names],
      );
      const expected = RESULTS[result].flatMap((item) => [item.faces, item.faces]);
      assert.equal(found.length, expected.length);
      for (const [i, faces] of expected.entries()) {
        assert.ok(faces.length > 0 && found[i].length === faces.length);
        for (const [j, text] of faces.entries()) assert.ok(near(found[i][j], floats(text), 0.05));
      }
    });
  }
  for (const [example, models, patterns] of [
    [
      'findFaces',
      ['face_detector', 'template_keypoints'],
      [/^68 points, followed: false$/, /^68 points, followed: true$/],
    ],
    ['reconstructFaces', ['face_detector', 'face3d'], [/^2500 vertices, turned by -?\d+ degrees$/]],
  ]) {
    const names = named(...models);
    const skip = names.includes(undefined) && 'its bundles are not among those of this run';
    test(`the example of the documentation: ${example}`, { skip }, async () => {
      const told = await page.evaluate(
        async ([example, names]) => {
          const [folder, other] = names.map((name) => `../bundles/${name}`);
          const bundle = await onpar.Bundle.open(folder);
          const picture = new Blob([bundle.file(bundle.manifest.golden[0].raw)]);
          const input = example === 'findFaces' ? [picture, picture] : picture;
          return onpar[example](input, '../wasm/', folder, other);
        },
        [example, names],
      );
      assert.match(told[0], patterns[0]);
      assert.match(told.at(-1), patterns.at(-1));
    });
  }
});

describe("Python's results", () => {
  for (const name of NAMES.filter((other) => other !== TENSORS)) {
    test(name, async () => {
      const manifest = await manifestOf(name);
      const found = await page.evaluate(
        async ([n, task, depth]) => {
          const detector = await onpar[task].fromBundle(`../bundles/${n}`, { wasmPath: '../wasm/' });
          const values = [];
          for (const golden of detector.bundle.manifest.golden) {
            const content = detector.bundle.file(golden.raw);
            const input = depth
              ? await onpar.decodeDepthPng(content)
              : await onpar.Picture.fromBlob(new Blob([content]));
            const { value, timings, backend } = await detector.detect(input);
            if (!(timings.preMs >= 0 && timings.inferenceMs > 0 && timings.postMs >= 0) || !backend)
              throw new Error('no timings');
            values.push({
              label: value.label,
              scores: value.scores,
              points: value.pointsPx && [...value.pointsPx],
              filled: value.filledVoxels,
              objects: value.objects,
              classes: value.classes && [...value.inPicture(input.width, input.height)],
              depth: value.nearness && [...value.inPicture(input.width, input.height)],
              vector: value.vector && [...value.vector],
              rgb: value.rgba && [...value.rgba].filter((_, i) => i % 4 < 3),
              faces: value.faces?.map(({ boxPx, score }) => ({ boxPx, score })),
              vertices: value.verticesPx && [...value.verticesPx],
              neutral: value.neutral && [...value.neutral],
              yaw: value.poseDegrees?.yaw,
              mask: value.values && Array.from(value.values, (v) => v >= value.threshold),
            });
          }
          await detector.close();
          return values;
        },
        [name, TASKS[manifest.task], manifest.preprocess.color === 'DEPTH'],
      );
      assert.equal(found.length, RESULTS[name].length);
      // Rounding to 8 bits makes more of a small difference than these limits: there the class alone must be the same.
      const rounded = ['w8a8', 'dynamic_w8'].includes(manifest.model_files[0].precision);
      found.forEach((value, i) => checkSame(value, RESULTS[name][i], rounded ? 0.02 : 1e-4));
    });
  }
});

function checkSame(found, expected, scoreLimit) {
  if (expected.label !== undefined) {
    assert.equal(found.label, expected.label);
    const worst = Math.max(...found.scores.map(({ label, score }) => Math.abs(score - expected.scores[label])));
    assert.ok(worst <= scoreLimit, `scores are off by ${worst}`);
  }
  if (expected.points_px !== undefined) {
    const worst = Math.max(
      ...expected.points_px.map(([x, y], i) => Math.hypot(x - found.points[2 * i], y - found.points[2 * i + 1])),
    );
    assert.ok(worst <= 0.05, `points are off by ${worst} px`);
  }
  if (expected.vector !== undefined) assert.ok(near(found.vector, expected.vector, 1e-4));
  if (expected.rgb !== undefined) {
    const wanted = bytes(expected.rgb);
    assert.equal(found.rgb.length, wanted.length);
    // Rounding to whole values makes one of a difference of 1e-5.
    assert.ok(found.rgb.every((value, i) => Math.abs(value - wanted[i]) <= 1));
  }
  if (expected.vertices_px !== undefined) {
    assert.ok(near(found.vertices, floats(expected.vertices_px), 0.05));
    assert.ok(near(found.neutral, floats(expected.neutral), 1e-4));
    assert.ok(Math.abs(found.yaw - expected.yaw) <= 0.01);
  }
  if (expected.faces !== undefined) {
    assert.equal(found.faces.length, expected.faces.length);
    found.faces.forEach(({ boxPx, score }, i) => {
      assert.ok(boxPx.every((value, k) => Math.abs(value - expected.faces[i].box_px[k]) <= 0.05));
      assert.ok(Math.abs(score - expected.faces[i].score) <= 1e-3);
    });
  }
  if (expected.objects !== undefined) {
    assert.deepEqual(
      found.objects.map(({ label }) => label),
      expected.objects.map(({ label }) => label),
    );
    found.objects.forEach(({ boxPx, score }, i) => {
      assert.ok(boxPx.every((value, k) => Math.abs(value - expected.objects[i].box_px[k]) <= 0.05));
      assert.ok(Math.abs(score - expected.objects[i].score) <= 1e-3);
    });
    assert.ok(found.objects.length > 0);
  }
  if (expected.classes !== undefined) {
    const wanted = new Int32Array(bytes(expected.classes).buffer);
    const same = found.classes.filter((value, i) => value === wanted[i]).length;
    assert.ok(found.classes.length === wanted.length && same >= 0.999 * wanted.length, `${same} pixels are the same`);
  }
  if (expected.depth !== undefined) {
    const wanted = floats(expected.depth);
    const same = (value, i) => (Number.isNaN(wanted[i]) ? Number.isNaN(value) : Math.abs(value / wanted[i] - 1) < 1e-3);
    assert.ok(found.depth.length === wanted.length && found.depth.every(same));
  }
  if (expected.filled_bits !== undefined) {
    const bits = Buffer.from(expected.filled_bits, 'base64');
    const wanted = found.mask.map((_, i) => ((bits[i >> 3] >> (i & 7)) & 1) === 1);
    const both = found.mask.filter((inside, i) => inside && wanted[i]).length;
    const either = found.mask.filter((inside, i) => inside || wanted[i]).length;
    assert.ok(either > 0 && both / either >= 0.999, `IoU ${both / either}`);
  }
  if (expected.filled_voxels !== undefined) {
    assert.ok(Math.abs(found.filled - expected.filled_voxels) <= 0.001 * expected.filled_voxels);
  }
}

describe('any network', { skip: TENSORS === undefined && 'its bundle is not among those of this run' }, () => {
  const call = (source, name = TENSORS) =>
    page.evaluate(
      async ([n, body]) => {
        const model = await onpar.TensorModel.fromBundle(`../bundles/${n}`, { wasmPath: '../wasm/' });
        try {
          return await eval(body)(model);
        } finally {
          await model.close();
        }
      },
      [name, source],
    );
  const GIVEN = '{ features: new Float32Array(16), words: BigInt64Array.of(5n) }';

  test('says what it takes and gives', async () => {
    const told = await call(
      '(model) => [...model.inputs, ...model.outputs].map((t) => `${t.name} ${t.dtype} [${t.shape}]`)',
    );
    assert.deepEqual(told.slice(0, 2), ['features float32 [1,16]', 'words int64 [1,1]']);
    assert.deepEqual(told.slice(2).sort(), ['best int64 [1]', 'scores float32 [1,4]']);
  });
  test("gives Python's outputs, calls in order", async () => {
    const found = await call(`async (model) => {
      const cases = model.bundle.manifest.golden.map(({ tensors }) => Object.fromEntries(model.inputs.map(({ name }) =>
        [name, model.bundle.golden(tensors.find((tensor) => tensor.name === name))])));
      const answers = await Promise.all(cases.map((inputs) => model.run(inputs)));
      return answers.map(({ value, timings, backend }) =>
        [[...value.scores], [...value.best].map(String), value.best.constructor.name, timings.inferenceMs > 0, backend]);
    }`);
    assert.equal(found.length, RESULTS[TENSORS].length);
    RESULTS[TENSORS].forEach(({ tensors: { scores, best } }, i) => {
      assert.ok(near(found[i][0], floats(scores), 1e-5));
      assert.deepEqual(found[i][1], [...new BigInt64Array(bytes(best).buffer)].map(String));
      assert.deepEqual(found[i].slice(2, 4), ['BigInt64Array', true]);
      assert.match(found[i][4], THREADS);
    });
    assert.notDeepEqual(found[0][0], found[1][0]);
  });
  for (const [fault, inputs, message] of [
    ['an input that is missing', '{ features: new Float32Array(16) }', /^BadInput: input 'words' is undefined; needed/],
    [
      'an input that is not there',
      `{ ...${GIVEN}, more: new Float32Array(1) }`,
      /^BadInput: .*'more'; allowed: features, words/,
    ],
    [
      'another type',
      `{ ...${GIVEN}, words: Int32Array.of(5) }`,
      /^BadInput: .*Int32Array.*needed: a BigInt64Array of 1 values/,
    ],
    [
      'too few values',
      `{ ...${GIVEN}, features: new Float32Array(15) }`,
      /^BadInput: .*of 15 values.*float32 \[1,16\]/,
    ],
    [
      'a number of more than 32 bits',
      `{ ...${GIVEN}, words: BigInt64Array.of(2n ** 40n) }`,
      /^BadInput: .*1099511627776/,
    ],
  ]) {
    test(`${fault} is refused`, async () => {
      assert.match(await call(`(model) => decode.outcome(() => model.run(${inputs}))`), message);
    });
  }
  test('the examples of the documentation', async () => {
    const detector = NAMES.find((name) => name.startsWith('foreign_detector-'));
    const [told, objects] = await page.evaluate(
      async ([twin, other]) => {
        const bundle = await onpar.Bundle.open(`../bundles/${other}`);
        const picture = new Blob([bundle.file(bundle.manifest.golden[0].raw)]);
        return [
          await onpar.runTensors(new Float32Array(16), '../wasm/', `../bundles/${twin}`),
          await onpar.findObjects(picture, '../wasm/', `../bundles/${other}`),
        ];
      },
      [TENSORS, detector],
    );
    assert.equal(told, '[features float32, words int64] give 4 scores');
    assert.match(objects[0], /^\d \d+ %, from x -?\d+$/);
  });
  test('a closed model is refused', async () => {
    const outcome = await call(
      `async (model) => { await model.close(); return decode.outcome(() => model.run(${GIVEN})); }`,
    );
    assert.match(outcome, /^BadInput: .*closed/);
  });
  test('takes a picture as a tensor, too', async () => {
    const sum = await call(
      '(model) => model.run({ image: new Float32Array(model.inputs[0].shape.reduce((a, b) => a * b)) })' +
        '.then(({ value }) => value[model.outputs[0].name].every(Number.isFinite))',
      CLASSIFIER,
    );
    assert.equal(sum, true);
  });
  test('task classes refuse it, and types that the runtime does not know are refused', async () => {
    const open = (task, name) =>
      page.evaluate(
        ([t, n]) => decode.outcome(() => onpar[t].fromBundle(`../bundles/${n}`, { wasmPath: '../wasm/' })),
        [task, name],
      );
    assert.match(
      await open('ImageClassifier', TENSORS),
      /^BadInput: .*gives RawTensors; this class needs.*Classification/,
    );
    assert.match(await open('TensorModel', OTHER_TYPES), /^BackendUnavailable: .*is (float16|bool); LiteRT.js runs/);
  });
});

describe('a damaged bundle is refused', () => {
  const open = (address = server.address) =>
    page.evaluate(([n, a]) => decode.outcome(() => onpar.Bundle.open(`${a}bundles/${n}`)), [CLASSIFIER, address]);
  const path = (file) => `/bundles/${CLASSIFIER}/${file}`;
  const cases = {
    'no bundle.json': [['bundle.json', () => null], /^BundleNotFound: /],
    'no SIGNATURE': [['SIGNATURE', () => null], /^ChecksumMismatch: .*lacks SIGNATURE/],
    'no model': [['model.tflite', () => null], /^ChecksumMismatch: .*lacks model.tflite/],
    'a truncated model': [
      ['model.tflite', (bytes) => bytes.subarray(0, bytes.length / 2)],
      /^ChecksumMismatch: .*model.tflite differs/,
    ],
    'one bit of the model': [
      [
        'model.tflite',
        (bytes) => {
          bytes[1000] ^= 1;
          return bytes;
        },
      ],
      /^ChecksumMismatch: /,
    ],
    'a changed manifest': [
      ['bundle.json', (bytes) => Buffer.from(bytes.toString().replace('"labels"', ' "labels"'))],
      /^SignatureInvalid: /,
    ],
    'no JSON': [['bundle.json', (bytes) => bytes.subarray(0, 100)], /^BundleInvalid: .*no JSON/],
    'a newer format': [
      ['bundle.json', (bytes) => Buffer.from(bytes.toString().replace('"format_version": 1', '"format_version": 2'))],
      /^BundleInvalid: .*format_version 2/,
    ],
    'an unknown key': [
      ['bundle.json', (bytes) => Buffer.from(bytes.toString().replace('"labels"', '"lables": [], "labels"'))],
      /^BundleInvalid: .*unknown 'lables'/,
    ],
    'a missing key': [
      ['bundle.json', (bytes) => Buffer.from(bytes.toString().replace('"task":', '"tusk":'))],
      /^BundleInvalid: .*no 'task'/,
    ],
    'a path that leads outside': [
      ['bundle.json', (bytes) => Buffer.from(bytes.toString().replace('"path": "card.md"', '"path": "../card.md"'))],
      /^BundleInvalid: .*outside/,
    ],
    'a damaged SIGNATURE': [['SIGNATURE', () => Buffer.from('{')], /^SignatureInvalid: /],
  };
  for (const [name, [[file, change], expected]] of Object.entries(cases)) {
    test(name, async () => {
      const content = await readFile(join(DIST, path(file)));
      server.replaced.set(path(file), change(content));
      try {
        assert.match(await open(), expected);
      } finally {
        server.replaced.clear();
      }
    });
  }
  test('an address without a bundle', async () => {
    assert.match(await page.evaluate(() => decode.outcome(() => onpar.Bundle.open('../nothing'))), /^BundleNotFound: /);
  });
  test('an unsigned bundle where a key is trusted', async () => {
    const outcome = await page.evaluate(
      (n) => decode.outcome(() => onpar.Bundle.open(`../bundles/${n}`, 'any key')),
      CLASSIFIER,
    );
    assert.match(outcome, /^SignatureInvalid: /);
  });
  /** What a call says of a bundle that its maker changed: every checksum fits. */
  async function resealed(document, files, call) {
    const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
    for (const [name, bytes] of Object.entries(files)) {
      document.files.find((entry) => entry.path === name).sha256 = hash(bytes);
      server.replaced.set(path(name), bytes);
    }
    const manifest = Buffer.from(JSON.stringify(document));
    server.replaced.set(path('bundle.json'), manifest);
    server.replaced.set(path('SIGNATURE'), Buffer.from(JSON.stringify({ algorithm: 'none', sha256: hash(manifest) })));
    try {
      return await page.evaluate(
        ([n, source]) => decode.outcome(() => eval(source)(`../bundles/${n}`)),
        [CLASSIFIER, call],
      );
    } finally {
      server.replaced.clear();
    }
  }
  const OPEN = "(folder) => onpar.ImageClassifier.fromBundle(folder, { wasmPath: '../wasm/' })";
  test('a model that is no .tflite file although its checksum fits', async () => {
    const outcome = await resealed(await manifestOf(CLASSIFIER), { 'model.tflite': Buffer.alloc(2000, 7) }, OPEN);
    assert.match(outcome, /^BundleInvalid: .*no .tflite file/);
  });
  test('a model with another input size', async () => {
    const document = await manifestOf(CLASSIFIER);
    for (const { inputs } of document.model_files) inputs[0].shape = [1, 3, 64, 128];
    assert.match(await resealed(document, {}, OPEN), /^BundleInvalid: .*image.*needed/);
  });
  test('a golden tensor of another size', async () => {
    const document = await manifestOf(CLASSIFIER);
    const { file } = document.golden[0].tensors.find(({ tensor }) => tensor === 'logits');
    const call =
      "async (folder) => onpar.GoldenSelfTest.run(await onpar.Bundle.open(folder), { wasmPath: '../wasm/' })";
    assert.match(await resealed(document, { [file]: Buffer.alloc(8) }, call), /^BundleInvalid: .*fit/);
  });
  test('a bundle for another task', async () => {
    const outcome = await page.evaluate(
      (n) => decode.outcome(() => onpar.DepthVoxelizer.fromBundle(`../bundles/${n}`)),
      CLASSIFIER,
    );
    assert.match(outcome, /^BadInput: .*Classification.*VoxelGrid/);
  });
});

describe('life of a detector', () => {
  const withDetector = (body) =>
    page.evaluate(`(async () => {
      const detector = await onpar.ImageClassifier.fromBundle('../bundles/${CLASSIFIER}', { wasmPath: '../wasm/' });
      const content = detector.bundle.file(detector.bundle.manifest.golden[0].raw);
      const picture = await onpar.Picture.fromBlob(new Blob([content]));
      ${body}
    })()`);
  test('two calls at once are answered one after the other, alike', async () => {
    const scores = await withDetector(
      'const both = await Promise.all([detector.detect(picture), detector.detect(picture)]); await detector.close(); return both.map((d) => d.value.score);',
    );
    assert.equal(scores[0], scores[1]);
  });
  test('closing waits for the call that runs; later calls are refused', async () => {
    const [score, outcome] = await withDetector(
      'const running = detector.detect(picture); await detector.close(); await detector.close(); return [(await running).value.score, await decode.outcome(() => detector.detect(picture))];',
    );
    assert.ok(score > 0);
    assert.match(outcome, /^BadInput: .*closed/);
  });
  test('a bad picture does not break the detector', async () => {
    const [outcome, score] = await withDetector(
      'const outcome = await decode.outcome(() => detector.detect(picture, [9, 9, 9, 9])); const { value } = await detector.detect(picture); await detector.close(); return [outcome, value.score];',
    );
    assert.match(outcome, /^BadInput: /);
    assert.ok(score > 0);
  });
  test('video mode drops stale and overlapping frames', async () => {
    const kept = await withDetector(
      'const first = detector.detectForVideo(picture, 10); const during = await detector.detectForVideo(picture, 20); await first; const again = await detector.detectForVideo(picture, 10); const newer = await detector.detectForVideo(picture, 30); await detector.close(); return [(await first) !== null, during, again, newer !== null];',
    );
    assert.deepEqual(kept, [true, null, null, true]);
  });
  test('opening and closing does not grow', async () => {
    const growth = await page.evaluate(async (n) => {
      const bundle = await onpar.Bundle.open(`../bundles/${n}`);
      const cycle = async () => (await onpar.ImageClassifier.fromBundle(bundle, { wasmPath: '../wasm/' })).close();
      const heap = () => onpar.wasmBytes();
      for (let i = 0; i < 10; i++) await cycle();
      const before = heap();
      for (let i = 0; i < 60; i++) await cycle();
      return heap() - before;
    }, CLASSIFIER);
    assert.ok(growth <= 1 << 20, `WebAssembly memory grew by ${growth} bytes in 60 cycles`);
  });
  test('a class of a picture in six lines', async () => {
    assert.match(await page.evaluate(() => onpar.classifyExample('../bundles/', '../wasm/')), /%/);
  });
});

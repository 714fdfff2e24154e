// The library in Chromium against the vectors that Python wrote.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { launch, openLibrary, serve, VECTORS } from './browser.mjs';

const LIMIT = 5e-5;
const MANIFEST = (item) => ({
  id: 'vector',
  labels: item.labels,
  postprocess: item.postprocess,
  preprocess: { size: item.size },
  modelFiles: [{ outputs: item.outputs }],
});
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

const MAKE_FRAME = `(c) => new onpar.YuvFrame(c.width, c.height, decode.plane(c.planes.y), decode.plane(c.planes.u),
  decode.plane(c.planes.v), c.orientation, c.range, c.matrix)`;

describe('pictures', () => {
  for (const item of VECTORS.pictures) {
    test(item.name, async () => {
      const found = await page.evaluate((c) => {
        const preprocessor = new onpar.PicturePreprocessor(decode.spec(c.preprocess));
        const region = preprocessor.run(
          new onpar.Picture(c.width, c.height, decode.bytes(c.rgb), c.orientation),
          c.box,
        );
        return [
          decode.difference(preprocessor.tensor, decode.floats(c.tensor)),
          decode.regionDifference(region, c.region),
        ];
      }, item);
      assert.ok(found[0] <= LIMIT, `tensor differs by ${found[0]}`);
      assert.ok(found[1] <= 1e-9, `region differs by ${found[1]}`);
    });
  }
  test('one preprocessor for many regions gives what a new one gives', async () => {
    const worst = await page.evaluate(
      (cases) => {
        const preprocessor = new onpar.PicturePreprocessor(decode.spec(cases[0].preprocess));
        return Math.max(
          ...[...cases, ...cases].map((c) => {
            preprocessor.run(new onpar.Picture(c.width, c.height, decode.bytes(c.rgb), c.orientation), c.box);
            return decode.difference(preprocessor.tensor, decode.floats(c.tensor));
          }),
        );
      },
      VECTORS.pictures.filter((c) => c.name.startsWith('orientation')),
    );
    assert.ok(worst <= LIMIT);
  });
});

describe('camera frames', () => {
  for (const item of VECTORS.frames) {
    test(item.name, async () => {
      const found = await page.evaluate(
        ([c, make]) => {
          const frame = eval(make)(c);
          const preprocessor = new onpar.PicturePreprocessor(decode.spec(c.preprocess));
          preprocessor.run(frame);
          // The bytes as stored, so that conversion alone is compared.
          const stored = eval(make)({ ...c, orientation: 1 });
          const rgb = decode.bytes(c.rgb);
          let wrong = 0;
          for (let y = 0; y < c.height; y++) {
            const row = new Float32Array(3 * c.width);
            stored.readRow(y, 0, c.width, row);
            for (let x = 0; x < c.width; x++)
              for (let k = 0; k < 3; k++) wrong += row[k * c.width + x] !== rgb[(y * c.width + x) * 3 + k];
          }
          return [wrong, decode.difference(preprocessor.tensor, decode.floats(c.tensor))];
        },
        [item, MAKE_FRAME],
      );
      assert.equal(found[0], 0, `${found[0]} bytes differ`);
      assert.ok(found[1] <= LIMIT, `tensor differs by ${found[1]}`);
    });
  }
});

describe('depth maps', () => {
  for (const item of VECTORS.depths) {
    test(item.name, async () => {
      const found = await page.evaluate((c) => {
        const depth = new onpar.DepthMap(c.width, c.height, new Uint16Array(decode.bytes(c.millimetres).buffer));
        const { tensor, region } = onpar.preprocessDepth(depth, decode.spec(c.preprocess), c.box);
        return [decode.difference(tensor, decode.floats(c.tensor)), decode.regionDifference(region, c.region)];
      }, item);
      assert.ok(found[0] <= 1e-6 && found[1] <= 1e-9, `tensor differs by ${found[0]}, region by ${found[1]}`);
    });
  }
});

describe('bad input is refused as BadInput', () => {
  for (const item of VECTORS.bad_pictures) {
    test(`picture: ${item.name}`, async () => {
      const outcome = await page.evaluate(
        (c) =>
          decode.outcome(() => {
            const picture = new onpar.Picture(c.width, c.height, decode.bytes(c.rgb), c.orientation);
            new onpar.PicturePreprocessor(decode.spec(c.preprocess)).run(picture, c.box);
          }),
        item,
      );
      assert.match(outcome, /^BadInput: .*allowed|^BadInput: .*need/);
    });
  }
  for (const item of VECTORS.bad_frames) {
    test(`frame: ${item.name}`, async () => {
      const outcome = await page.evaluate(([c, make]) => decode.outcome(() => eval(make)(c)), [item, MAKE_FRAME]);
      assert.match(outcome, /^BadInput: /);
    });
  }
  for (const item of VECTORS.bad_depths) {
    test(`depth: ${item.name}`, async () => {
      const outcome = await page.evaluate(
        (c) =>
          decode.outcome(() =>
            onpar.preprocessDepth(
              new onpar.DepthMap(c.width, c.height, new Uint16Array(decode.bytes(c.millimetres).buffer)),
              decode.spec(c.preprocess),
              c.box,
            ),
          ),
        item,
      );
      assert.match(outcome, /^BadInput: /);
    });
  }
});

describe('results', () => {
  const decoders = {
    Classification: 'toClassification',
    Keypoints: 'toKeypoints',
    VoxelGrid: 'toVoxelGrid',
    Mask: 'toMask',
    FaceBoxes: 'toFaceBoxes',
    Detections: 'toDetectedObjects',
    Segmentation: 'toSegmentation',
    Depth: 'toEstimatedDepth',
    Points: 'toPoints',
    Embedding: 'toEmbedding',
    NewPicture: 'toNewPicture',
  };
  for (const item of VECTORS.results) {
    test(`${item.postprocess.result} of ${item.outputs.map((o) => `${o.unit} ${o.shape}`)}`, async () => {
      const value = await page.evaluate(
        ([c, manifest, decoder]) => {
          const outputs = Object.fromEntries(c.outputs.map((o) => [o.name, decode.floats(o.values)]));
          const result = onpar[decoder](outputs, {
            manifest,
            region: decode.region(c.region),
            pictureWidth: c.width,
            pictureHeight: c.height,
          });
          const plain = (v) => (v instanceof Float32Array ? [...v] : v);
          if (result.classes) return { shares: result.shares(), classes: [...result.inPicture(c.width, c.height)] };
          if (result.nearness) {
            const values = [...result.inPicture(c.width, c.height)];
            return { unit: result.unit, values, nearness: [...result.nearness()] };
          }
          if (result.similarity) {
            const mirrored = new onpar.Embedding(result.vector.toReversed());
            return { vector: [...result.vector], similarity: result.similarity(mirrored) };
          }
          if (result.rgba) return { ...result, rgba: [...result.rgba] };
          if (result.faces) return result.faces.map((face) => ({ ...face, pointsPx: [...face.pointsPx] }));
          return Object.fromEntries(Object.entries(result).map(([k, v]) => [k, plain(v)]));
        },
        [item, MANIFEST(item), decoders[item.postprocess.result]],
      );
      checkResult(item, value);
    });
  }
});

function checkResult({ postprocess, expected }, value) {
  const ints = (text) => [...new Int32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer)];
  const floats = (text) => [...new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer)];
  const near = (a, b, limit) => a.length === b.length && a.every((v, i) => Math.abs(v - b[i]) <= limit);
  if (postprocess.result === 'Classification') {
    assert.equal(value.label, expected.label);
    assert.equal(value.known, expected.known);
    assert.deepEqual(
      value.scores.map((s) => s.label),
      Object.keys(expected.scores),
    );
    assert.ok(
      near(
        value.scores.map((s) => s.score),
        Object.values(expected.scores),
        1e-6,
      ),
    );
  } else if (postprocess.result === 'Keypoints') {
    assert.ok(near(value.pointsPx, floats(expected.points_px), 1e-4));
    assert.ok(near(value.templatePointsPx, floats(expected.template_points_px), 1e-4));
  } else if (postprocess.result === 'VoxelGrid') {
    assert.deepEqual([value.size, value.filledVoxels], [expected.size, expected.filled_voxels]);
  } else if (postprocess.result === 'FaceBoxes') {
    assert.ok(
      near(
        value.flatMap((face) => face.boxPx),
        floats(expected.boxes_px),
        1e-4,
      ),
    );
    assert.ok(
      near(
        value.map((face) => face.score),
        floats(expected.scores),
        1e-6,
      ),
    );
    assert.ok(
      near(
        value.flatMap((face) => face.pointsPx),
        floats(expected.points_px),
        1e-4,
      ),
    );
  } else if (postprocess.result === 'Detections') {
    const { objects } = value;
    assert.deepEqual(
      objects.map(({ label }) => label),
      expected.labels,
    );
    const parts = [objects.flatMap(({ boxPx }) => boxPx), objects.map(({ score }) => score)];
    assert.ok(near(parts[0], floats(expected.boxes_px), 1e-4) && near(parts[1], floats(expected.scores), 1e-6));
  } else if (postprocess.result === 'Segmentation') {
    const shares = Object.entries(expected.shares).map(([label, share]) => ({ label, share }));
    assert.deepEqual(value, { shares, classes: ints(expected.classes) });
  } else if (postprocess.result === 'Depth') {
    assert.equal(value.unit, expected.unit);
    const same = (v, e) => (Number.isNaN(e) ? Number.isNaN(v) : Math.abs(v - e) <= 1e-5);
    const wanted = floats(expected.values);
    assert.ok(value.values.length === wanted.length && wanted.every((e, i) => same(value.values[i], e)));
    assert.ok(near(value.nearness, floats(expected.nearness), 1e-6));
  } else if (postprocess.result === 'Embedding') {
    assert.deepEqual(value.vector, floats(expected.vector));
    assert.ok(Math.abs(value.similarity - expected.similarity) <= 1e-6);
  } else if (postprocess.result === 'NewPicture') {
    assert.deepEqual([value.width, value.height], [expected.width, expected.height]);
    assert.deepEqual(rgbOf(value.rgba), [...Buffer.from(expected.rgb, 'base64')]);
  } else if (postprocess.result === 'Points') {
    assert.ok(near(value.pointsPx, floats(expected.points_px), 1e-4));
    assert.ok(near(value.scores, floats(expected.scores), 1e-6));
    assert.deepEqual(value.labels, expected.labels);
  } else {
    assert.ok(near(value.values, floats(expected.values), 1e-5));
  }
}

/** Without the fourth of each, which says how opaque a pixel is. */
function rgbOf(rgba) {
  assert.ok(rgba.every((value, i) => i % 4 < 3 || value === 255));
  return rgba.filter((_, i) => i % 4 < 3);
}

describe('depth PNG files', () => {
  /** 8 x 8 pixels whose rows name a filter, or of what a header says. */
  const png = (filter, kind = [16, 0, 0]) => {
    const rows = Buffer.from(Array.from({ length: 8 * 17 }, (_, i) => (i % 17 ? i : filter)));
    const packed = deflateSync(rows);
    const word = (value) => Buffer.from([value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255]);
    const header = [
      word(13),
      Buffer.from('IHDR'),
      word(8),
      word(8),
      Buffer.from([kind[0], kind[1], 0, 0, kind[2]]),
      word(0),
    ];
    const data = [word(packed.length), Buffer.from('IDAT'), packed, word(0)];
    return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...header, ...data]).toString('base64');
  };
  const read = (filter, kind) =>
    page.evaluate((text) => decode.outcome(() => onpar.decodeDepthPng(decode.bytes(text))), png(filter, kind));
  test('with the five filters are read', async () => {
    for (const filter of [0, 1, 2, 3, 4]) assert.equal(await read(filter), 'no error');
  });
  test('of 8 bits, colours, a palette, or interlaced are refused', async () => {
    for (const kind of [
      [8, 0, 0],
      [16, 2, 0],
      [8, 3, 0],
      [16, 0, 1],
    ])
      assert.match(
        await read(0, kind),
        new RegExp(`^BadInput: the PNG has ${kind[0]} bits, colour type ${kind[1]}; a`),
      );
  });
  test('that are cut are refused', async () => {
    const whole = Buffer.from(png(0), 'base64');
    for (const size of [0, 20, 40, whole.length - 30]) {
      const text = whole.subarray(0, size).toString('base64');
      const said = await page.evaluate((t) => decode.outcome(() => onpar.decodeDepthPng(decode.bytes(t))), text);
      assert.match(said, /^BadInput: the (file is no PNG|PNG is damaged)/);
    }
  });
  test('with another filter are refused', async () => {
    for (const filter of [5, 255])
      assert.match(await read(filter), new RegExp(`^BadInput: .*row 0 has filter ${filter}; allowed: 0 to 4`));
  });
});

describe('metrics', () => {
  for (const item of VECTORS.metrics) {
    test(item.name, async () => {
      const value = await page.evaluate((c) => {
        const found = onpar.metric(c.metric).compute(decode.floats(c.actual), decode.floats(c.expected), c.shape);
        return Number.isFinite(found) ? found : 1e300;
      }, item);
      assert.ok(
        Math.abs(value - item.value) <= 1e-6 * Math.max(1, Math.abs(item.value)),
        `${value}, Python gives ${item.value}`,
      );
    });
  }
});

describe('signatures', () => {
  for (const item of VECTORS.signatures) {
    test(item.name, async () => {
      const outcome = await page.evaluate(async (c) => {
        try {
          return await onpar.verifySignature(
            decode.bytes(c.manifest),
            decode.bytes(c.signature),
            c.trusted_key ?? undefined,
          );
        } catch (error) {
          return error.name;
        }
      }, item);
      assert.equal(outcome, item.outcome);
    });
  }
});

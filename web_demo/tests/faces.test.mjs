// The face pipeline in Chromium against the vectors that Python wrote, with networks that answer by a script.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, openLibrary, serve, VECTORS } from './browser.mjs';

const LIMIT = 5e-5;
let browser, server, page;

before(async () => {
  server = await serve();
  browser = await launch();
  page = await openLibrary(browser, server);
  await page.evaluate((text) => {
    globalThis.shape = decode.floats(text);
    globalThis.square = (v) => new onpar.Square(...v);
    globalThis.squareDifference = (a, b) =>
      Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y), Math.abs(a.side - b.side), Math.abs(a.angle - b.angle) % 360);
    /** The answer that a move of a script stands for. */
    globalThis.answer = ([grow, right, down, turn, apart]) => {
      const nothing = new Float32Array(136).fill(Number.NaN);
      if (grow === null) return { points: nothing, template: nothing };
      const [c, s] = [grow * Math.cos((turn * Math.PI) / 180), grow * Math.sin((turn * Math.PI) / 180)];
      const points = shape.map((_, i) => {
        const [u, v] = [shape[i - (i % 2)] - 0.5, shape[i - (i % 2) + 1] - 0.5];
        return i % 2 === 0 ? u * c - v * s + 0.5 + right : u * s + v * c + 0.5 + down;
      });
      return { points, template: points.map((value, i) => (i % 2 === 0 ? value + apart : value)) };
    };
    /** The four values of a crop that vectors hold. */
    globalThis.corners = (tensor, size) => {
      const [last, middle] = [size - 1, Math.floor((size - 1) / 2)];
      const at = [0, size ** 2 + last, (2 * size + last) * size, middle * size + middle];
      return Float32Array.from(at, (i) => tensor[i]);
    };
    globalThis.scene = (name, width, height) => {
      const bytes = new Uint8Array(3 * width * height);
      bytes.forEach((_, i) => {
        const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
        const plain = x + y + ((x * 37 + y * 101 + x * y * 7) % 16) + (i % 3) * 15;
        bytes[i] = { plain, dark: plain >> 1, inverted: 255 - plain, flat: 90 }[name];
      });
      return new onpar.Picture(width, height, bytes);
    };
  }, VECTORS.face_shapes[0].points);
});
after(async () => {
  await browser?.close();
  await server?.close();
});

describe('turned crops', () => {
  for (const item of VECTORS.squares) {
    test(item.name, async () => {
      const [exact, ...wrong] = await page.evaluate((c) => {
        const [x, y, side, angle] = c.square;
        const flipped = angle % 180 === 0 ? [] : [[x, y, side, -angle]];
        const expected = decode.floats(c.tensor);
        const third = expected.length / 3;
        const plain = expected.every((value, i) => value === expected[i - (i % third)]);
        return [c.square, ...(plain ? [] : [[x + 0.5, y, side, angle], ...flipped])].map((values) => {
          const sampler = new onpar.SquareSampler(c.size);
          const picture = new onpar.Picture(c.width, c.height, decode.bytes(c.rgb), c.orientation);
          sampler.sample(picture, square([20, 20, 90, 45])); // what an earlier picture left must not matter
          sampler.sample(picture, square(values));
          return decode.difference(sampler.tensor, expected);
        });
      }, item);
      assert.ok(exact <= LIMIT, `tensor differs by ${exact}`);
      for (const difference of wrong) assert.ok(difference > 100 * LIMIT, 'half a pixel or another turn is not seen');
    });
  }
});

describe('squares of points and boxes', () => {
  for (const item of VECTORS.face_squares) {
    test(item.name, async () => {
      const [exact, region, ...wrong] = await page.evaluate((c) => {
        const points = decode.floats(c.points_px);
        const mirrored = points.map((_, i) => points[points.length - 2 - (i - (i % 2)) + (i % 2)]);
        const exchanged = points.map((_, i) => points[i ^ 1]);
        const [found, ...others] = [points, mirrored, exchanged].map((p) =>
          squareDifference(onpar.squareFromPoints(p), square(c.square)),
        );
        return [found, decode.regionDifference(onpar.squareOfBox(c.box), c.region), ...others];
      }, item);
      assert.ok(exact <= 1e-3 && region <= 1e-9, `square differs by ${exact}, region by ${region}`);
      for (const difference of wrong) assert.ok(difference > 1, 'another order of points is not seen');
    });
  }
});

describe('boxes that are judged', () => {
  for (const item of VECTORS.judgments) {
    test(item.name, async () => {
      const { kept, faults } = await page.evaluate(async (c) => {
        const [faults, calls] = [[], [...c.calls]];
        const logits = async (tensor) => {
          const call = calls.shift();
          if (call === undefined) faults.push('a box was looked at that can not be kept');
          if (!(decode.difference(corners(tensor, c.size), decode.floats(call.seen)) <= 5e-4))
            faults.push('another crop');
          return Float32Array.from(call.logits);
        };
        const refine = onpar.boxRefiner({ size: c.size, threshold: c.threshold, logits }, new onpar.StageClock());
        const boxes = c.boxes.map(({ box, score }, i) => ({ boxPx: box, score, pointsPx: new Float32Array([i]) }));
        const found = await refine(boxes, scene('plain', c.width, c.height));
        if (calls.length > 0) faults.push('a box was not looked at');
        return { faults, kept: found.map(({ pointsPx, score }) => [pointsPx[0], score]) };
      }, item);
      assert.deepEqual(faults, []);
      assert.deepEqual(
        kept.map(([box]) => box),
        item.kept.map(({ box }) => box),
      );
      for (const [i, [, score]] of kept.entries()) assert.ok(Math.abs(score - item.kept[i].score) <= 1e-6);
    });
  }
});

describe('faces that are followed', () => {
  for (const item of VECTORS.tracks) {
    test(item.name, async () => {
      const found = await page.evaluate(async (c) => {
        const script = { regions: [], calls: [], faults: [] };
        const network = (name) => async (tensor) => {
          const call = script.calls.shift();
          const seen = corners(tensor, c.size);
          if (call?.network !== name) script.faults.push(`${name} was run instead of ${call?.network}`);
          if (!(decode.difference(seen, decode.floats(call.seen)) <= 5e-4)) script.faults.push('another crop');
          return answer(call.move);
        };
        const find = async () => script.regions.map((r) => decode.region(r));
        const options = { most: c.most, checkEvery: c.check_every, smooth: c.smooth };
        const second = c.refined ? network('second') : null;
        const tracker = new onpar.FaceTracker(find, network('first'), second, c.size, options);
        const frames = [];
        for (const frame of c.frames) {
          if (frame.faces === null) continue; // dropped before it comes here; see the pipeline's tests
          [script.regions, script.calls] = [frame.regions, [...frame.calls]];
          const picture = scene(frame.picture, c.width, c.height);
          const faces = await (c.video ? tracker.detectForVideo(picture, frame.timestamp_ms) : tracker.detect(picture));
          if (script.calls.length > 0) script.faults.push('a network was not run');
          frames.push({
            runs: tracker.detectorRuns,
            tracked: faces.map((face) => face.tracked),
            differences: faces.map((face, i) => {
              const wanted = frame.faces[i];
              if (!wanted) return Infinity;
              const points = wanted.points_px && decode.difference(face.pointsPx, decode.floats(wanted.points_px));
              const apart = Math.abs(face.disagreement - wanted.disagreement) * 100;
              return Math.max(squareDifference(face.square, square(wanted.square)), points ?? 0, apart);
            }),
          });
        }
        return { frames, faults: script.faults };
      }, item);
      assert.deepEqual(found.faults, []);
      const expected = item.frames.filter((frame) => frame.faces !== null);
      assert.deepEqual(
        found.frames.map(({ runs, tracked }) => [runs, tracked]),
        expected.map((frame) => [frame.detector_runs, frame.faces.map((face) => face.tracked)]),
      );
      for (const { differences } of found.frames) assert.ok(differences.every((d) => d <= 2e-3));
    });
  }
});

describe('the pipeline', () => {
  /** Bundles that say no more than the pipeline asks, and runners that answer by the tensors they are given. */
  const OPEN = `async ({ results = ['FaceBoxes', 'Keypoints', 'Keypoints'], sizes = [32, 32, 32], fail = -1 } = {}) => {
    globalThis.closings = 0;
    const bundles = results.map((result, i) => ({
      name: 'bundle ' + i,
      manifest: {
        postprocess: { result, threshold: 0.5 },
        preprocess: { size: [sizes[i], sizes[i]], color: 'RGB', resize: 'contain', boxGrow: 0 },
        modelFiles: [{ outputs: [{ name: 'a', shape: [1, 68, 2] }, { name: 'b', shape: [1, 68, 2] }] }],
      },
    }));
    const still = answer([1, 0, 0, 0, 0.05]);
    const load = async (bundle) => {
      const number = bundles.indexOf(bundle);
      if (number === fail) throw new onpar.BackendUnavailable('none');
      const faces = Float32Array.of(0.2, 0.3, 0.6, 0.7, 0.9, ...new Array(10).fill(0.5));
      const run = async () => {
        await globalThis.held;
        return number === 0 ? { faces } : { a: still.points, b: still.template };
      };
      return { backend: 'script', run, close: () => closings++ };
    };
    return onpar.FaceKeypointPipeline.open(bundles, load);
  }`;

  test('all faces, with timings, and closed for good', async () => {
    const found = await page.evaluate(async (open) => {
      const pipeline = await eval(open)();
      const picture = scene('plain', 96, 72);
      const { value, timings, backend } = await pipeline.detect(picture);
      await pipeline.close();
      await pipeline.close();
      const refused = await decode.outcome(() => pipeline.detect(picture));
      const { x, y, side } = value[0].square;
      return { count: value.length, square: [x, y, side], timings, backend, closings, refused };
    }, OPEN);
    assert.equal(found.count, 1);
    // The box in the 96 x 96 square around the picture, 1.4 of its side, from outer corners to centres of pixels.
    const expected = [0.4 * 96 - 0.5, 0.5 * 96 - 12 - 0.5, 1.4 * 0.4 * 96];
    found.square.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-3));
    assert.ok(Object.values(found.timings).every((ms) => ms >= 0) && found.timings.preMs > 0);
    assert.deepEqual([found.backend, found.closings], ['script', 3]);
    assert.match(found.refused, /^BadInput: .*closed/);
  });

  test('video: late and overlapping frames are dropped, reset begins anew', async () => {
    const found = await page.evaluate(async (open) => {
      const pipeline = await eval(open)();
      const picture = scene('plain', 96, 72);
      const show = (detection) => detection && detection.value.map((face) => face.tracked);
      const answers = [];
      for (const time of [10, 30, 30, 20, 40]) answers.push(show(await pipeline.detectForVideo(picture, time)));
      let release;
      globalThis.held = new Promise((done) => (release = done));
      const running = pipeline.detectForVideo(picture, 50);
      answers.push(show(await pipeline.detectForVideo(picture, 60)));
      release();
      globalThis.held = undefined;
      answers.push(show(await running), pipeline.detectorRuns);
      await pipeline.reset();
      answers.push(show(await pipeline.detectForVideo(picture, 5)));
      await pipeline.close();
      return answers;
    }, OPEN);
    assert.deepEqual(found, [[false], [true], null, null, [true], null, [true], 1, [false]]);
  });

  for (const [name, options, pattern] of [
    ['bundles in another order', { results: ['Keypoints', 'FaceBoxes'] }, /^BadInput: bundle 0 gives Keypoints/],
    ['networks of two sizes', { sizes: [32, 32, 48] }, /^BadInput: .*one size/],
    ['a size without a thumbnail', { sizes: [32, 24, 24] }, /^BadInput: .*multiple of 16/],
    ['a runner that fails', { fail: 2 }, /^BackendUnavailable/],
  ]) {
    test(`${name}: refused, and nothing stays open`, async () => {
      const [outcome, closed] = await page.evaluate(
        async ([open, given]) => [await decode.outcome(() => eval(open)(given)), globalThis.closings],
        [OPEN, options],
      );
      assert.match(outcome, pattern);
      assert.equal(closed, { 'a runner that fails': 2, 'a size without a thumbnail': 3 }[name] ?? 0);
    });
  }

  test('squares and points that can have no crop', async () => {
    const outcomes = await page.evaluate(() =>
      Promise.all([
        decode.outcome(() => onpar.squareFromPoints(new Float32Array(10))),
        decode.outcome(() => new onpar.SquareSampler(8).sample(scene('flat', 9, 9), square([Number.NaN, 0, 9, 0]))),
        decode.outcome(() => new onpar.SquareSampler(8).sample(scene('flat', 9, 9), square([0, 0, -1, 0]))),
        decode.outcome(() => new onpar.FaceTracker(null, null, null, 32, { most: 0 })),
      ]),
    );
    for (const outcome of outcomes) assert.match(outcome, /^BadInput: /);
  });
});

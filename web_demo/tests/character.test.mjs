// Character files in Chromium: golden poses, time, damaged copies, and the page's player.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { launch, openLibrary, serve } from './browser.mjs';

const CONTENT = await readFile(new URL('../../models/motions/golden/char1.character.safetensors', import.meta.url));
const START = 8 + Number(CONTENT.readBigUInt64LE(0));
const sha256 = (data) => createHash('sha256').update(data).digest('hex');
let browser, server, page;

before(async () => {
  server = await serve();
  browser = await launch();
  page = await openLibrary(browser, server);
  await page.evaluate(async (text) => {
    globalThis.open = (content) => onpar.CharacterAnimator.fromBytes(decode.bytes(content), 'char1');
    globalThis.animator = await open(text);
  }, CONTENT.toString('base64'));
});
after(async () => {
  await browser?.close();
  await server?.close();
});

/** The file with another header or other tensors, made consistent again, as its maker could. */
function changed(change) {
  const header = JSON.parse(CONTENT.subarray(8, START).toString());
  const data = Buffer.from(CONTENT.subarray(START));
  delete header.__metadata__?.sha256;
  change(header, data);
  if (header.__metadata__) header.__metadata__.sha256 ??= sha256(data);
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

function flipped(at, bits) {
  const bytes = Buffer.from(CONTENT);
  bytes[at] ^= bits;
  return bytes;
}

const selfTest = (bytes) => page.evaluate(async (text) => (await open(text)).selfTest(), bytes.toString('base64'));
const begin = (header, tensor) => header[tensor].data_offsets[0];

describe('poses', () => {
  test('are the golden ones', async () => {
    const report = await selfTest(CONTENT);
    assert.ok(report.passed, JSON.stringify(report));
    assert.deepEqual([report.checks[0].name, report.checks[0].limit], ['walk: largest distance', 1e-5]);
    assert.ok(report.checks[0].value < 1e-6);
  });
  test('a changed matrix turns the self-test red', async () => {
    const bytes = changed((header, data) => {
      const at =
        begin(header, 'clip.walk.matrices') + 4 * (12 * 16 * data.readInt32LE(begin(header, 'golden.walk.frames')) + 3);
      data.writeFloatLE(data.readFloatLE(at) + 1e-3, at);
    });
    const report = await selfTest(bytes);
    assert.ok(!report.passed && report.checks[0].value > 1e-4);
    assert.ok((await selfTest(changed(() => undefined))).passed);
  });
  test('come at their time, and the next frame differs', async () => {
    const [near, next] = await page.evaluate(() => {
      const clip = animator.character.clips[0];
      const wanted = clip.goldenVertices.subarray(0, 3 * animator.character.vertexCount);
      const at = (frame) => decode.difference(animator.pose(((frame + 0.5) * 1000) / 30), wanted);
      return [at(clip.goldenFrames[0]), at(clip.goldenFrames[0] + 1)];
    });
    assert.ok(near <= 1e-6 && next > 1e-4, `${near} ${next}`);
  });
  test('go round and fill the same array', async () => {
    const [frames, same] = await page.evaluate(() => [
      [0, 33, 34, 1366, 1367, -1].map((time) => animator.frameAt(time)),
      animator.pose(0) === animator.pose(700, 'walk'),
    ]);
    assert.deepEqual(frames, [0, 0, 1, 40, 0, 40]);
    assert.ok(same);
  });
  test('no time, no clip', async () => {
    const found = await page.evaluate(() =>
      Promise.all([
        decode.outcome(() => animator.pose(NaN)),
        decode.outcome(() => animator.pose(Infinity)),
        decode.outcome(() => animator.poseForVideo(NaN)),
        decode.outcome(() => animator.pose(0, 'fly')),
      ]),
    );
    for (const said of found.slice(0, 3)) assert.match(said, /^BadInput: .*allowed: a finite number/);
    assert.match(found[3], /^BadInput: .*no clip 'fly'; allowed: walk/);
  });
  test('video mode drops times that are not newer', async () => {
    const kept = await page.evaluate(() => [10, 10, 5, 11].map((time) => animator.poseForVideo(time) !== null));
    assert.deepEqual(kept, [true, false, false, true]);
  });
  test('the example of the documentation', async () => {
    const said = await page.evaluate(() => onpar.animate('../characters/char1.character.safetensors', 500));
    assert.equal(said, '3953 vertices, 3953 uvs, 7902 triangles, 55340 bytes');
  });
});

describe('a file that is refused', () => {
  const metadata = (key, value) => changed((header) => (header.__metadata__[key] = value));
  for (const [name, bytes, said] of [
    ['an empty file', Buffer.alloc(0), /^BundleInvalid: .*0 bytes/],
    ['no character file', Buffer.from('a text, no character'), /^BundleInvalid: .*no character file/],
    ['a cut header', CONTENT.subarray(0, 500), /^BundleInvalid: .*cut/],
    ['a cut file', CONTENT.subarray(0, 200_000), /^ChecksumMismatch: .*cut/],
    ['one bit', flipped(300_000, 1), /^ChecksumMismatch: .*sha256/],
    ['a damaged header', flipped(8, 255), /^BundleInvalid: .*damaged header/],
    ['another hash', metadata('sha256', '0'.repeat(64)), /^ChecksumMismatch: .*sha256/],
    [
      'a newer format',
      metadata('format_version', '2'),
      /^BundleInvalid: .*character 2; allowed: onpar.character 1; update/,
    ],
    ['another safetensors file', changed((header) => delete header.__metadata__), /^BundleInvalid: .*format/],
    ['a missing tensor', changed((header) => delete header.uvs), /^BundleInvalid: .*no tensor 'uvs'/],
    [
      'a tensor that lies outside',
      changed((header) => (header.uvs.data_offsets = [1 << 30, (1 << 30) + 3953 * 8])),
      /^BundleInvalid: .*outside/,
    ],
    ['another shape', changed((header) => (header.weights.shape = [3953, 2])), /^BundleInvalid: .*'weights' is F32/],
    [
      'a joint that is not there',
      changed((header, data) => (data[begin(header, 'joints')] = 99)),
      /^BundleInvalid: .*joints names 99; allowed: 0 to 15/,
    ],
    [
      'a matrix that is no number',
      changed((header, data) => void data.writeFloatLE(NaN, begin(header, 'clip.walk.matrices'))),
      /^BundleInvalid: .*no numbers/,
    ],
    ['a limit that proves nothing', metadata('golden_limit', '10'), /^BundleInvalid: .*golden_limit/],
  ]) {
    test(name, async () => {
      assert.match(await page.evaluate((text) => decode.outcome(() => open(text)), bytes.toString('base64')), said);
    });
  }
  test('no file', async () => {
    const found = await page.evaluate(() =>
      decode.outcome(() => onpar.CharacterAnimator.fromFile('../none.safetensors')),
    );
    assert.match(found, /^BundleNotFound: no character file none.safetensors/);
  });
});

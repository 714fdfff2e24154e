/** Points that stand still where a face does, a One Euro filter over whole faces: reference/pipelines/steady.py. */

/** Hz, of a point at rest. */
const MIN_CUTOFF = 0.5;
/** Growth of the cutoff in Hz for each size of the face a second. */
const BETA = 60;
/** Hz, of the speed's own filter. */
const SPEED_CUTOFF = 2;
/** Sizes a second up to which the face counts as still: noise alone gives that. */
const FACE_REST = 0.2;
/** Likewise of a point beside the face. */
const POINT_REST = 0.4;

/** A face's points so far: x, y, x, y, ... in pixels, smoothed, and their speed in pixels a second. */
export interface Steady {
  readonly pointsPx: Float32Array;
  readonly speed: Float32Array;
  readonly timeMs: number;
}

/** Takes in one frame, later than `before`'s; `size` of the face in pixels, at least 1. */
export function steady(before: Steady | null, pointsPx: Float32Array, timeMs: number, size: number): Steady {
  if (before === null) return { pointsPx, speed: new Float32Array(pointsPx.length), timeMs };
  const seconds = (timeMs - before.timeMs) / 1000;
  const speed = new Float64Array(pointsPx.length);
  const whole = [0, 0];
  for (let i = 0; i < speed.length; i++) {
    const [known, now] = [before.speed[i]!, (pointsPx[i]! - before.pointsPx[i]!) / seconds];
    speed[i] = known + share(SPEED_CUTOFF, seconds) * (now - known);
    whole[i % 2]! += speed[i]! / (speed.length / 2);
  }
  const face = Math.max(0, Math.hypot(whole[0]!, whole[1]!) / size - FACE_REST);
  const smoothed = new Float32Array(speed.length);
  for (let i = 0; i < speed.length; i += 2) {
    const own = Math.max(0, Math.hypot(speed[i]! - whole[0]!, speed[i + 1]! - whole[1]!) / size - POINT_REST);
    const part = share(MIN_CUTOFF + BETA * (face + own), seconds);
    for (const k of [i, i + 1]) smoothed[k] = before.pointsPx[k]! + part * (pointsPx[k]! - before.pointsPx[k]!);
  }
  return { pointsPx: smoothed, speed: Float32Array.from(speed), timeMs };
}

/** Share of the new value in a low-pass filter's output, of a cutoff frequency in Hz. */
function share(cutoff: number, seconds: number): number {
  const ratio = 2 * Math.PI * cutoff * seconds;
  return ratio / (1 + ratio);
}

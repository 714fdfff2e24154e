package org.onpar

import kotlin.math.PI
import kotlin.math.hypot

/** Hz, of a point at rest. */
private const val MIN_CUTOFF = 0.5

/** Growth of the cutoff in Hz for each size of the face a second. */
private const val BETA = 60.0

/** Hz, of the speed's own filter. */
private const val SPEED_CUTOFF = 2.0

/** Sizes a second up to which the face counts as still: noise alone gives that. */
private const val FACE_REST = 0.2

/** Likewise of a point beside the face. */
private const val POINT_REST = 0.4

/** A face's points so far: x, y, x, y, ... in pixels, smoothed, and their speed in pixels a second. */
internal class Steady(val pointsPx: FloatArray, val speed: FloatArray, val timeMs: Long)

/**
 * Points that stand still where a face does, a One Euro filter over whole faces: reference/pipelines/steady.py.
 *
 * Takes in one frame, later than [before]'s; [size] of the face in pixels, at least 1.
 */
internal fun steady(before: Steady?, pointsPx: FloatArray, timeMs: Long, size: Double): Steady {
    if (before == null) return Steady(pointsPx, FloatArray(pointsPx.size), timeMs)
    val seconds = (timeMs - before.timeMs) / 1000.0
    val speed =
        DoubleArray(pointsPx.size) {
            val known = before.speed[it].toDouble()
            known + share(SPEED_CUTOFF, seconds) * ((pointsPx[it].toDouble() - before.pointsPx[it]) / seconds - known)
        }
    val (right, down) = (0..1).map { axis -> (axis until speed.size step 2).sumOf { speed[it] } / (speed.size / 2) }
    val face = maxOf(0.0, hypot(right, down) / size - FACE_REST)
    val smoothed = FloatArray(speed.size)
    for (i in speed.indices step 2) {
        val own = maxOf(0.0, hypot(speed[i] - right, speed[i + 1] - down) / size - POINT_REST)
        val part = share(MIN_CUTOFF + BETA * (face + own), seconds)
        for (k in i..i + 1) {
            val last = before.pointsPx[k].toDouble()
            smoothed[k] = (last + part * (pointsPx[k] - last)).toFloat()
        }
    }
    return Steady(smoothed, FloatArray(speed.size) { speed[it].toFloat() }, timeMs)
}

/** Share of the new value in a low-pass filter's output, of a [cutoff] frequency in Hz. */
private fun share(cutoff: Double, seconds: Double): Double {
    val ratio = 2 * PI * cutoff * seconds
    return ratio / (1 + ratio)
}

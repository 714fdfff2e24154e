package org.onpar

import kotlin.math.sign

/**
 * Points of a picture, as many as the network has.
 *
 * [pointsPx] are x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0); [scores] as the network gives
 * them, empty where it gives none; [labels] are empty where points have no names.
 */
class Points(val pointsPx: FloatArray, val scores: FloatArray, val labels: List<String>)

/** Places x, y, ... in shares of a map's sides, and heights, of the largest value of each of [count] maps. */
internal fun peaks(maps: FloatArray, count: Int, rows: Int, columns: Int): Pair<FloatArray, FloatArray> {
    val places = FloatArray(2 * count)
    val heights = FloatArray(count)
    for (map in 0 until count) {
        val start = map * rows * columns
        var best = start
        for (i in start until start + rows * columns) if (maps[i] > maps[best]) best = i
        val x = (best - start) % columns
        val y = (best - start) / columns
        // A quarter of a cell towards the larger neighbour (Newell et al., 2016).
        val dx = if (x in 1 until columns - 1) 0.25 * sign(maps[best + 1] - maps[best - 1]) else 0.0
        val dy = if (y in 1 until rows - 1) 0.25 * sign(maps[best + columns] - maps[best - columns]) else 0.0
        places[2 * map] = ((x + 0.5 + dx) / columns).toFloat()
        places[2 * map + 1] = ((y + 0.5 + dy) / rows).toFloat()
        heights[map] = maps[best]
    }
    return places to heights
}

/** Points as pixels, as fractions or as maps: reference/tasks/keypoints.py. */
fun toPoints(outputs: Tensors, context: Context): Points {
    val manifest = context.manifest
    val entry = entryOf(manifest, 0)
    val values = output(outputs, entry.name)
    val count = entry.shape[1]
    if (entry.unit == "map") {
        val (places, heights) = peaks(values, count, entry.shape[2], entry.shape[3])
        return Points(toPicture(places, context.region), heights, manifest.labels)
    }
    val numbers = entry.shape[2]
    val pixels = entry.unit == "pixels"
    val width = if (pixels) manifest.preprocess.width else 1
    val height = if (pixels) manifest.preprocess.height else 1
    val places = FloatArray(2 * count) { values[it / 2 * numbers + it % 2] / if (it % 2 == 0) width else height }
    val scores = if (numbers > 2) FloatArray(count) { values[it * numbers + 2] } else FloatArray(0)
    return Points(toPicture(places, context.region), scores, manifest.labels)
}

/** Points of whatever the network was trained for. */
class KeypointDetector private constructor(bundle: Bundle, runner: Runner) : PictureTask<Points>(bundle, runner, ::toPoints) {
    companion object : TaskFactory<KeypointDetector>("Points", ::KeypointDetector)
}

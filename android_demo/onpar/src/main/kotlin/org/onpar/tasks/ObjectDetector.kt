package org.onpar

import kotlin.math.exp

/** An object in a picture; [boxPx] is x0, y0, x1, y1 in picture pixels, the outer corner at (0, 0), and may reach beyond it. */
class DetectedObject(val boxPx: DoubleArray, val label: String, val score: Float)

/** Objects in a picture, the most certain one first. */
class DetectedObjects(val objects: List<DetectedObject>)

/** Of two boxes of one class that overlap by this much, the one with the lower score goes. */
private const val SAME_OBJECT = 0.5
private const val MOST = 100

/** [box] is x0, y0, x1, y1 in shares of the network's input, [number] that of the class. */
private class Candidate(val box: FloatArray, val score: Float, val number: Int)

/** From boxes and scores to objects: reference/tasks/object_detection.py. */
fun toDetectedObjects(outputs: Tensors, context: Context): DetectedObjects {
    val manifest = context.manifest
    val boxes = output(outputs, entryOf(manifest, 0).name)
    val threshold = thresholdOf(manifest)
    val scores = Scores(outputs, manifest)
    val candidates =
        (0 until boxes.size / 4).mapNotNull { i ->
            val number = scores.best(i)
            val score = scores.score(i, number)
            if (score >= threshold) Candidate(corners(boxes, 4 * i, manifest), score, scores.classOf(i, number)) else null
        }
    // Stable: equal scores keep their order.
    return DetectedObjects(suppress(candidates.sortedByDescending { it.score }).map { place(it, context) })
}

private fun suppress(candidates: List<Candidate>): List<Candidate> {
    val kept = ArrayList<Candidate>()
    for (candidate in candidates) {
        if (kept.all { it.number != candidate.number || overlap(candidate.box, it.box) < SAME_OBJECT }) kept.add(candidate)
        if (kept.size == MOST) break
    }
    return kept
}

/** Scores (1, N, classes), or (1, N) beside an output with class numbers (1, N). */
private class Scores(outputs: Tensors, manifest: Manifest) {
    private val entry = entryOf(manifest, 1)
    private val values = output(outputs, entry.name)
    private val classes = if (entry.shape.size < 3) 1 else entry.shape.last()
    private val numbers = if (entry.shape.size < 3) output(outputs, entryOf(manifest, 2).name) else null

    /** The column of a box's largest score. */
    fun best(box: Int): Int {
        var best = 0
        for (c in 0 until classes) {
            val value = values[box * classes + c]
            if (value.isNaN()) return c
            if (value > values[box * classes + best]) best = c
        }
        return best
    }

    fun score(box: Int, column: Int): Float {
        val value = values[box * classes + column]
        return if (entry.unit == "logit") (1 / (1 + exp(-value.toDouble()))).toFloat() else value
    }

    fun classOf(box: Int, column: Int): Int = numbers?.get(box)?.toInt() ?: column
}

private fun corners(boxes: FloatArray, at: Int, manifest: Manifest): FloatArray {
    val unit = entryOf(manifest, 0).unit
    val pixels = unit.endsWith("pixels")
    val width = if (pixels) manifest.preprocess.width else 1
    val height = if (pixels) manifest.preprocess.height else 1
    val values = FloatArray(4) { boxes[at + it] / if (it % 2 == 0) width else height }
    if (!unit.startsWith("cxcywh")) return values
    return FloatArray(4) { if (it < 2) values[it] - values[it + 2] / 2 else values[it - 2] + values[it] / 2 }
}

/** Intersection over union. */
private fun overlap(a: FloatArray, b: FloatArray): Double {
    fun side(box: FloatArray, i: Int): Double = box[i + 2].toDouble() - box[i]
    fun shared(i: Int): Double = maxOf(0.0, minOf(a[i + 2], b[i + 2]).toDouble() - maxOf(a[i], b[i]))
    val both = shared(0) * shared(1)
    return both / maxOf(side(a, 0) * side(a, 1) + side(b, 0) * side(b, 1) - both, 1e-12)
}

private fun place(found: Candidate, context: Context): DetectedObject {
    val manifest = context.manifest
    val label =
        manifest.labels.getOrNull(found.number)
            ?: throw BundleInvalid("${manifest.id} gave the class ${found.number} and has ${manifest.labels.size} labels; export it with a label each")
    val region = context.region
    val box = DoubleArray(4) { if (it % 2 == 0) found.box[it] * region.width + region.left else found.box[it] * region.height + region.top }
    return DetectedObject(box, label, found.score)
}

/** Box, class and score of every object that the network knows. */
class ObjectDetector private constructor(bundle: Bundle, runner: Runner) :
    PictureTask<DetectedObjects>(bundle, runner, ::toDetectedObjects) {
    companion object : TaskFactory<ObjectDetector>("Detections", ::ObjectDetector)
}

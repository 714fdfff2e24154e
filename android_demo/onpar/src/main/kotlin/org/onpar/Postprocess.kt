package org.onpar

import kotlin.math.cbrt
import kotlin.math.exp
import kotlin.math.roundToInt

typealias Tensors = Map<String, FloatArray>

/** What a decoder may look at besides the tensors. */
class Context(val manifest: Manifest, val region: Region, val pictureWidth: Int, val pictureHeight: Int)

data class Score(val label: String, val probability: Float)

/** What a picture shows; [scores] holds every class, most probable first. */
class Classification(val scores: List<Score>) {
    val label: String get() = scores[0].label
    val score: Float get() = scores[0].probability
}

/**
 * A face in a picture.
 *
 * [boxPx] is x0, y0, x1, y1 in picture pixels, the picture's outer corner at (0, 0), and may reach beyond the picture.
 * [pointsPx] are the centres of the eyes, the tip of the nose and the corners of the mouth, the image's left first:
 * x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0).
 */
class FaceBox(val boxPx: DoubleArray, val score: Float, val pointsPx: FloatArray)

/** Faces in a picture, the most certain one first. */
class FaceBoxes(val faces: List<FaceBox>)

/**
 * Points on a face: x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0).
 *
 * [templatePointsPx] are those from the template alone; [pointsPx] again where the network has no template.
 */
class Keypoints(val pointsPx: FloatArray, val templatePointsPx: FloatArray, val region: Region)

/** The salient part of a picture: one value in [0, 1] for each of its pixels, row by row. */
class Mask(val width: Int, val height: Int, val values: FloatArray, val threshold: Float) {
    /** Share of the picture at or above the threshold. */
    val share: Double get() = values.count { it >= threshold } / values.size.toDouble()
}

/** A solid on a cubic grid: slices from the viewer away, rows down, columns right; filled at or above [threshold]. */
class VoxelGrid(val size: Int, val occupancy: FloatArray, val threshold: Float) {
    val filledVoxels: Int get() = occupancy.count { it >= threshold }
}

fun toClassification(outputs: Tensors, context: Context): Classification {
    val manifest = context.manifest
    val probabilities = softmax(output(outputs, "logits"))
    if (manifest.labels.isEmpty() || manifest.labels.size != probabilities.size) {
        throw BundleInvalid("${manifest.id} has ${manifest.labels.size} labels for ${probabilities.size} classes; export again")
    }
    // Stable: equal scores keep the order of the labels.
    return Classification(manifest.labels.mapIndexed { i, label -> Score(label, probabilities[i]) }.sortedByDescending { it.probability })
}

fun toFaceBoxes(outputs: Tensors, context: Context): FaceBoxes =
    FaceBoxes(findFaces(output(outputs, "faces"), context.region, thresholdOf(context.manifest)))

/** Of two boxes of one face, the one with the lower score goes. */
private const val LARGEST_OVERLAP = 0.4

/** x0, y0, x1, y1, score, five x, five y; places in shares of the region. */
private const val FACE_COLUMNS = 15
private const val SCORE = 4

/** The faces of a detector's output: certain enough, their middle in the network's input, the best of overlapping ones. */
fun findFaces(rows: FloatArray, region: Region, threshold: Float): List<FaceBox> {
    // Most rows show no face: they are passed over before anything is made of them.
    val candidates = ArrayList<DoubleArray>()
    for (start in 0 until rows.size step FACE_COLUMNS) {
        if (!(rows[start + SCORE] >= threshold)) continue
        val row = DoubleArray(FACE_COLUMNS) { rows[start + it].toDouble() }
        if (row.all(Double::isFinite) && middleInside(row)) candidates.add(row)
    }
    candidates.sortByDescending { it[SCORE] } // stable: equal scores keep their order
    val kept = mutableListOf<DoubleArray>()
    for (row in candidates) if (kept.none { overlapsMuch(it, row) }) kept.add(row)
    return kept.map { toFaceBox(it, region) }
}

private fun middleInside(row: DoubleArray): Boolean = (row[0] + row[2]) / 2 in 0.0..1.0 && (row[1] + row[3]) / 2 in 0.0..1.0

private fun overlapsMuch(a: DoubleArray, b: DoubleArray): Boolean {
    val both = maxOf(0.0, minOf(a[2], b[2]) - maxOf(a[0], b[0])) * maxOf(0.0, minOf(a[3], b[3]) - maxOf(a[1], b[1]))
    return both > LARGEST_OVERLAP * (areaOf(a) + areaOf(b) - both)
}

private fun areaOf(box: DoubleArray): Double = maxOf(0.0, box[2] - box[0]) * maxOf(0.0, box[3] - box[1])

private fun toFaceBox(row: DoubleArray, region: Region): FaceBox {
    val box = DoubleArray(4) { if (it % 2 == 0) row[it] * region.width + region.left else row[it] * region.height + region.top }
    val points =
        FloatArray(10) {
            val (length, start) = if (it % 2 == 0) region.width to region.left else region.height to region.top
            (row[5 + it / 2 + 5 * (it % 2)] * length + start - 0.5).toFloat()
        }
    return FaceBox(box, row[SCORE].toFloat(), points)
}

fun toKeypoints(outputs: Tensors, context: Context): Keypoints {
    val names = context.manifest.modelFiles[0].outputs.map { it.name }
    val region = context.region
    val points = toPicture(output(outputs, names[0]), region)
    return Keypoints(points, if (names.size > 1) toPicture(output(outputs, names[1]), region) else points, region)
}

fun toVoxelGrid(outputs: Tensors, context: Context): VoxelGrid {
    val occupancy = output(outputs, "occupancy").copyOf()
    return VoxelGrid(cbrt(occupancy.size.toDouble()).roundToInt(), occupancy, thresholdOf(context.manifest))
}

fun toMask(outputs: Tensors, context: Context): Mask = toMask(outputs, context, MaskScaler())

internal fun toMask(outputs: Tensors, context: Context, scaler: MaskScaler): Mask {
    val spec = context.manifest.preprocess
    val mask = output(outputs, context.manifest.modelFiles[0].outputs[0].name)
    val values = scaler.scale(mask, spec.width, spec.height, context.region, context.pictureWidth, context.pictureHeight)
    return Mask(context.pictureWidth, context.pictureHeight, values, thresholdOf(context.manifest))
}

/** Fractions of the region, x then y, to pixels. */
fun toPicture(fractions: FloatArray, region: Region): FloatArray =
    FloatArray(fractions.size) {
        val value = fractions[it].toDouble()
        (if (it % 2 == 0) value * region.width + region.left - 0.5 else value * region.height + region.top - 0.5).toFloat()
    }

/** Scales masks to pictures, bilinearly; keeps its memory. Edge values repeat inside the region; 0 where the network did not look. */
internal class MaskScaler {
    /** For each pixel of a row the value left of it, -1 outside the region, and how far it lies towards the next one. */
    private var lefts = IntArray(0)
    private var parts = FloatArray(0)
    private var row = FloatArray(0)

    fun scale(mask: FloatArray, columns: Int, rows: Int, region: Region, width: Int, height: Int): FloatArray {
        prepare(columns, region, width)
        val values = FloatArray(width * height)
        for (y in 0 until height) {
            val position = position(y, region.top, region.height, rows)
            if (position >= 0) writeRow(mask, columns, rows, position, values, y * width, width)
        }
        return values
    }

    private fun prepare(columns: Int, region: Region, width: Int) {
        if (lefts.size < width) {
            lefts = IntArray(width)
            parts = FloatArray(width)
        }
        // One value more, the last again: the rightmost pixels have a next one, too.
        if (row.size != columns + 1) row = FloatArray(columns + 1)
        for (x in 0 until width) {
            val position = position(x, region.left, region.width, columns)
            lefts[x] = if (position < 0) -1 else position.toInt()
            parts[x] = (position - lefts[x]).toFloat()
        }
    }

    /** Two rows of the mask become one first: the picture has more pixels. */
    private fun writeRow(mask: FloatArray, columns: Int, rows: Int, position: Double, values: FloatArray, at: Int, width: Int) {
        val top = position.toInt()
        val upper = top * columns
        val lower = minOf(top + 1, rows - 1) * columns
        val down = (position - top).toFloat()
        for (x in 0 until columns) row[x] = mask[upper + x] + down * (mask[lower + x] - mask[upper + x])
        row[columns] = row[columns - 1]
        for (x in 0 until width) {
            val left = lefts[x]
            if (left >= 0) values[at + x] = row[left] + parts[x] * (row[left + 1] - row[left])
        }
    }

    /** Place of a pixel's centre among the mask's values, -1 outside the region. */
    private fun position(pixel: Int, start: Double, length: Double, size: Int): Double {
        val fraction = (pixel + 0.5 - start) / length
        return if (fraction < 0 || fraction > 1) -1.0 else (fraction * size - 0.5).coerceIn(0.0, size - 1.0)
    }
}

fun softmax(logits: FloatArray): FloatArray {
    val largest = logits.max()
    val powers = FloatArray(logits.size) { exp(logits[it] - largest) }
    val total = powers.sum()
    return FloatArray(logits.size) { powers[it] / total }
}

internal fun output(outputs: Tensors, name: String): FloatArray =
    outputs[name] ?: throw BundleInvalid("the artifact gave no output '$name'; export the bundle again")

internal fun thresholdOf(manifest: Manifest): Float =
    manifest.postprocess.threshold ?: throw BundleInvalid("${manifest.id} has no threshold; export the bundle again")

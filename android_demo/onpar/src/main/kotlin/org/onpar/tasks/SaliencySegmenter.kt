package org.onpar

/** The salient part of a picture: one value in [0, 1] for each of its pixels, row by row. */
class Mask(val width: Int, val height: Int, val values: FloatArray, val threshold: Float) {
    /** Share of the picture at or above the threshold. */
    val share: Double get() = values.count { it >= threshold } / values.size.toDouble()
}

fun toMask(outputs: Tensors, context: Context): Mask = toMask(outputs, context, MaskScaler())

internal fun toMask(outputs: Tensors, context: Context, scaler: MaskScaler): Mask {
    val spec = context.manifest.preprocess
    val mask = output(outputs, context.manifest.modelFiles[0].outputs[0].name)
    val values = scaler.scale(mask, spec.width, spec.height, context.region, context.pictureWidth, context.pictureHeight)
    return Mask(context.pictureWidth, context.pictureHeight, values, thresholdOf(context.manifest))
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

/** Which pixels belong to the salient object. */
class SaliencySegmenter private constructor(bundle: Bundle, runner: Runner, scaler: MaskScaler) :
    PictureTask<Mask>(bundle, runner, { outputs, context -> toMask(outputs, context, scaler) }) {
    companion object : TaskFactory<SaliencySegmenter>("Mask", { bundle, runner -> SaliencySegmenter(bundle, runner, MaskScaler()) })
}

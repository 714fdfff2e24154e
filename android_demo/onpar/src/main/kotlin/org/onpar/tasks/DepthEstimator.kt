package org.onpar

/**
 * How far things are, row by row on the network's own grid, which covers [region] of the picture.
 *
 * [unit] is `relative_inverse_depth` (nearer is larger), `relative_depth` (nearer is smaller) or `metres`.
 */
class EstimatedDepth(val values: FloatArray, val rows: Int, val columns: Int, val region: Region, val unit: String) {
    /** Values of a picture's pixels; NaN outside the region. */
    fun inPicture(width: Int, height: Int): FloatArray = GridScaler().scale(values, columns, rows, region, width, height, Float.NaN)

    /** From 0, the farthest, to 1, the nearest. */
    val nearness: FloatArray
        get() {
            val low = values.min()
            val range = (values.max() - low).takeIf { it != 0f } ?: 1f
            val nearIsLarge = unit == "relative_inverse_depth"
            return FloatArray(values.size) { ((values[it] - low) / range).let { share -> if (nearIsLarge) share else 1 - share } }
        }
}

/** The map over the region that the network saw: reference/tasks/depth_estimation.py. */
fun toEstimatedDepth(outputs: Tensors, context: Context): EstimatedDepth {
    val entry = entryOf(context.manifest, 0)
    val (rows, columns) = entry.shape.takeLast(2)
    return EstimatedDepth(output(outputs, entry.name).copyOf(), rows, columns, context.region, entry.unit)
}

/** How far every pixel of one picture is. */
class DepthEstimator private constructor(bundle: Bundle, runner: Runner) :
    PictureTask<EstimatedDepth>(bundle, runner, ::toEstimatedDepth) {
    companion object : TaskFactory<DepthEstimator>("Depth", ::DepthEstimator)
}

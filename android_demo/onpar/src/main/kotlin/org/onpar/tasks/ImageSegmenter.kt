package org.onpar

/** The class of every cell of the network's own grid, row by row, which covers [region] of the picture. */
class Segmentation(val classes: IntArray, val rows: Int, val columns: Int, val region: Region, val labels: List<String>) {
    /** Class numbers of a picture's pixels; -1 outside the region. */
    fun inPicture(width: Int, height: Int): IntArray = layClassesOver(classes, columns, rows, region, width, height)

    /** Share of the grid that each class covers, the largest first; classes that cover nothing are left out. */
    val shares: List<Pair<String, Double>>
        get() {
            val counts = IntArray(labels.size)
            for (number in classes) if (number in labels.indices) counts[number]++
            // Stable: equal shares keep the order of the labels.
            return labels.mapIndexed { i, label -> label to counts[i].toDouble() / classes.size }.filter { it.second > 0 }.sortedByDescending { it.second }
        }
}

/** Of scores (1, classes, h, w) the largest, of one score (above 0 is the second class), or class numbers. */
internal fun classesOf(values: FloatArray, shape: List<Int>, isFloat: Boolean): IntArray {
    if (!isFloat) return IntArray(values.size) { values[it].toInt() }
    val classes = shape[shape.size - 3]
    val cells = values.size / classes
    return IntArray(cells) { cell ->
        if (classes == 1) return@IntArray if (values[cell] > 0) 1 else 0
        var best = 0
        for (c in 1 until classes) if (values[c * cells + cell] > values[best * cells + cell]) best = c
        best
    }
}

/** The most probable class of every cell: reference/tasks/image_segmentation.py. */
fun toSegmentation(outputs: Tensors, context: Context): Segmentation {
    val entry = entryOf(context.manifest, 0)
    val (rows, columns) = entry.shape.takeLast(2)
    val classes = classesOf(output(outputs, entry.name), entry.shape, entry.dtype == DType.FLOAT32 || entry.dtype == DType.FLOAT16)
    return Segmentation(classes, rows, columns, context.region, context.manifest.labels)
}

/** What every pixel shows, of the classes that the network knows. */
class ImageSegmenter private constructor(bundle: Bundle, runner: Runner) : PictureTask<Segmentation>(bundle, runner, ::toSegmentation) {
    companion object : TaskFactory<ImageSegmenter>("Segmentation", ::ImageSegmenter)
}

package org.onpar

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor

/** Weights of the input pixels along one axis: output i reads `count[i]` pixels from `first[i]`; [most] weights for each. */
internal class Taps(private val size: Int) {
    val first = IntArray(size)
    val count = IntArray(size)
    var most = 0
        private set
    var weights = FloatArray(0)
        private set
    private var folded = DoubleArray(0)
    private var support = 1.0

    /** The outputs share [length] pixels from [start] on, of an axis of [pixels]; the memory is kept. */
    fun set(start: Double, length: Double, pixels: Int) {
        val scale = length / size
        support = maxOf(scale, 1.0)
        most = 2 * ceil(support).toInt() + 2
        if (folded.size < most) {
            folded = DoubleArray(most)
            weights = FloatArray(size * most)
        }
        for (i in 0 until size) fill(i, start + (i + 0.5) * scale, pixels)
    }

    /** What lies beyond the border counts for the edge pixel. */
    private fun fill(i: Int, center: Double, pixels: Int) {
        val low = floor(center - support).toInt()
        val high = ceil(center + support).toInt()
        var total = 0.0
        for (p in low..high) total += weight(p, center)
        folded.fill(0.0)
        var begun = false
        for (p in low..high) {
            val weight = weight(p, center) / total
            if (weight == 0.0) continue
            val pixel = p.coerceIn(0, pixels - 1)
            if (!begun) first[i] = pixel
            begun = true
            folded[pixel - first[i]] += weight
            count[i] = pixel - first[i] + 1
        }
        for (k in 0 until most) weights[i * most + k] = folded[k].toFloat()
    }

    private fun weight(position: Int, center: Double): Double = maxOf(0.0, 1 - abs(position + 0.5 - center) / support)
}

/** Turns one picture after the other into the input tensor; keeps its memory and, for equal regions, its weights. */
class PicturePreprocessor(private val spec: PreprocessSpec) {
    /** (1, 3, H, W) RGB in [0, 1]; overwritten by every [run]. */
    val tensor = FloatArray(3 * spec.height * spec.width)
    private var region: Region? = null
    private var sourceWidth = 0
    private var sourceHeight = 0
    private val rows = Taps(spec.height)
    private val columns = Taps(spec.width)

    /** The rows read last, each where its number modulo `rows.most` says, and their numbers. */
    private var cache = FloatArray(0)
    private var cached = IntArray(0)
    private var sum = FloatArray(0)

    /** Fill [tensor] and say which region it shows. */
    fun run(source: PixelSource, box: Box? = null): Region {
        val chosen = chooseRegion(source.width, source.height, spec, box)
        sample(source, chosen)
        return chosen
    }

    /** Fill [tensor] with a region, which may reach beyond the picture: edge pixels repeat. */
    fun sample(source: PixelSource, region: Region) {
        prepare(source, region)
        sample(source)
    }

    private fun prepare(source: PixelSource, chosen: Region) {
        if (chosen != region || source.width != sourceWidth || source.height != sourceHeight) {
            rows.set(chosen.top, chosen.height, source.height)
            columns.set(chosen.left, chosen.width, source.width)
            // A box that moves from frame to frame costs memory only where it grows.
            val length = 3 * columnCount()
            if (sum.size < length) sum = FloatArray(length)
            if (cache.size < length * rows.most) cache = FloatArray(length * rows.most)
            if (cached.size < rows.most) cached = IntArray(rows.most)
            region = chosen
            sourceWidth = source.width
            sourceHeight = source.height
        }
        cached.fill(-1)
    }

    private fun columnCount(): Int = columns.first.last() + columns.count.last() - columns.first[0]

    /** Rows are weighed first: they lie one after the other in memory, which processors add fastest. */
    private fun sample(source: PixelSource) {
        val count = columnCount()
        val length = 3 * count
        val slots = rows.most
        for (oy in 0 until spec.height) {
            sum.fill(0f, 0, length)
            for (k in 0 until rows.count[oy]) {
                val y = rows.first[oy] + k
                val at = (y % slots) * length
                if (cached[y % slots] != y) {
                    source.readRow(y, columns.first[0], count, cache, at)
                    cached[y % slots] = y
                }
                addRow(sum, cache, at, length, rows.weights[oy * slots + k])
            }
            writeRow(oy, count)
        }
    }

    private fun addRow(sum: FloatArray, row: FloatArray, at: Int, length: Int, weight: Float) {
        for (i in 0 until length) sum[i] += weight * row[at + i]
    }

    /** The three channels together: their sums don't wait for one another. */
    private fun writeRow(oy: Int, count: Int) {
        val first = columns.first
        val counts = columns.count
        val weights = columns.weights
        val most = columns.most
        val plane = spec.height * spec.width
        for (ox in 0 until spec.width) {
            val from = first[ox] - first[0]
            var red = 0f
            var green = 0f
            var blue = 0f
            for (k in 0 until counts[ox]) {
                val weight = weights[ox * most + k]
                red += weight * sum[from + k]
                green += weight * sum[from + k + count]
                blue += weight * sum[from + k + 2 * count]
            }
            val to = oy * spec.width + ox
            tensor[to] = red / 255f
            tensor[to + plane] = green / 255f
            tensor[to + 2 * plane] = blue / 255f
        }
    }
}

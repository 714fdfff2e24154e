package org.onpar

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor

/** A part of a picture, in pixels. */
data class Box(val x0: Double, val y0: Double, val x1: Double, val y1: Double)

/** The rectangle of the picture that the network sees, in pixels; (0, 0) is the picture's outer corner. */
data class Region(val left: Double, val top: Double, val width: Double, val height: Double)

private const val OBJECT_MARGIN = 0.03

/** The farthest pixel keeps this value; 0 means "no measurement". */
private const val FARTHEST_VALUE = 1.0 / 16

/** The region with the network's aspect ratio: rule 2 of reference/inputs/preprocess.py. */
fun chooseRegion(width: Int, height: Int, spec: PreprocessSpec, box: Box? = null, boxGrow: Double = spec.boxGrow): Region {
    var left = 0.0
    var top = 0.0
    var right = width.toDouble()
    var bottom = height.toDouble()
    if (box != null) {
        val (x0, y0, x1, y1) = box
        if (!(x0 < x1 && y0 < y1 && x0 < width && y0 < height && x1 > 0 && y1 > 0)) {
            throw BadInput("box is $box; allowed: x0 < x1, y0 < y1, inside the ${width}x$height picture")
        }
        val growX = boxGrow * (x1 - x0)
        val growY = boxGrow * (y1 - y0)
        left = maxOf(0.0, x0 - growX)
        right = minOf(width.toDouble(), x1 + growX)
        top = maxOf(0.0, y0 - growY)
        bottom = minOf(height.toDouble(), y1 + growY)
    }
    val w = right - left
    val h = bottom - top
    if (spec.resize == "stretch") return Region(left, top, w, h)
    val scale = if (spec.resize == "cover") minOf(w / spec.width, h / spec.height) else maxOf(w / spec.width, h / spec.height)
    val w2 = scale * spec.width
    val h2 = scale * spec.height
    return Region(left + (w - w2) / 2, top + (h - h2) / 2, w2, h2)
}

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

/** Turns depth maps into the input tensor (1, 1, H, W) in [0, 1]: nearest 1, farthest 1/16, no measurement 0. */
class DepthPreprocessor(private val spec: PreprocessSpec) {
    /** Overwritten by every [run]. */
    val tensor = FloatArray(spec.height * spec.width)

    /** Fill [tensor] and say which region it shows; without a box, all that was measured. */
    fun run(depth: DepthMap, box: Box? = null): Region {
        val region =
            if (box == null) {
                chooseRegion(depth.width, depth.height, spec, measuredBox(depth), OBJECT_MARGIN)
            } else {
                chooseRegion(depth.width, depth.height, spec, box)
            }
        var near = Int.MAX_VALUE
        var far = 0
        for (i in tensor.indices) {
            val value = nearest(depth, region, i / spec.width, i % spec.width)
            tensor[i] = value.toFloat()
            if (value in 1 until near) near = value
            if (value > far) far = value
        }
        if (far == 0) throw BadInput("the depth map is 0 inside $region; choose a box where distances were measured")
        val extent = if (far > near) (far - near).toDouble() else 1.0
        for (i in tensor.indices) {
            if (tensor[i] > 0) tensor[i] = (1 - (tensor[i] - near) / extent * (1 - FARTHEST_VALUE)).toFloat()
        }
        return region
    }

    private fun nearest(depth: DepthMap, region: Region, i: Int, j: Int): Int {
        val y = floor(region.top + (i + 0.5) * (region.height / spec.height)).toInt()
        val x = floor(region.left + (j + 0.5) * (region.width / spec.width)).toInt()
        return if (x in 0 until depth.width && y in 0 until depth.height) depth.at(y * depth.width + x) else 0
    }

    private fun measuredBox(depth: DepthMap): Box {
        var left = depth.width
        var top = depth.height
        var right = -1
        var bottom = -1
        for (i in depth.millimetres.indices) {
            if (depth.at(i) == 0) continue
            val x = i % depth.width
            left = minOf(left, x)
            right = maxOf(right, x)
            top = minOf(top, i / depth.width)
            bottom = i / depth.width
        }
        if (right < 0) throw BadInput("the depth map is 0 everywhere; give a map with distances in millimetres")
        return Box(left.toDouble(), top.toDouble(), right + 1.0, bottom + 1.0)
    }
}

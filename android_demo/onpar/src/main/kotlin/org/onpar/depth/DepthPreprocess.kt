package org.onpar

import kotlin.math.floor

private const val OBJECT_MARGIN = 0.03

/** The farthest pixel keeps this value; 0 means "no measurement". */
private const val FARTHEST_VALUE = 1.0 / 16

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

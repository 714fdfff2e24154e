package org.onpar

/** A part of a picture, in pixels. */
data class Box(val x0: Double, val y0: Double, val x1: Double, val y1: Double)

/** The rectangle of the picture that the network sees, in pixels; (0, 0) is the picture's outer corner. */
data class Region(val left: Double, val top: Double, val width: Double, val height: Double)

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

/** Fractions of the region, x then y, to pixels. */
fun toPicture(fractions: FloatArray, region: Region): FloatArray =
    FloatArray(fractions.size) {
        val value = fractions[it].toDouble()
        (if (it % 2 == 0) value * region.width + region.left - 0.5 else value * region.height + region.top - 0.5).toFloat()
    }

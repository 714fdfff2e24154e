package org.onpar

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.atan2
import kotlin.math.ceil
import kotlin.math.cos
import kotlin.math.sin

/** Points of a face, in the order of the 300-W annotations. */
internal const val FACE_POINTS = 68

/** Side of the crop in sides of the points' box. */
private const val CROP_SCALE = 1.6

/** Of a crop, in longer sides of the picture: beyond it the points are no face's. */
internal const val LARGEST_SIDE_OF_PICTURE = 8.0

/** Samples of one pixel of a crop along each axis. */
private const val MOST_SAMPLES = 32

/** The keypoint networks' square, in longer sides of the detector's box. */
private const val SQUARE_OF_BOX = 1.4

private const val RADIANS = PI / 180

/**
 * A square of a picture, turned.
 *
 * [x] and [y] are its centre in picture pixels, the centre of the first pixel at (0, 0); [angle] is in degrees by which
 * the picture is turned clockwise to make the face upright.
 */
data class Square(val x: Double, val y: Double, val side: Double, val angle: Double = 0.0) {
    /** Fractions of the crop, x then y, to picture pixels. */
    fun toPicture(fractions: FloatArray): FloatArray {
        val along = side * cos(angle * RADIANS)
        val across = side * sin(angle * RADIANS)
        val points = FloatArray(fractions.size)
        for (i in fractions.indices step 2) {
            val u = fractions[i] - 0.5
            val v = fractions[i + 1] - 0.5
            points[i] = (x + u * along + v * across).toFloat()
            points[i + 1] = (y - u * across + v * along).toFloat()
        }
        return points
    }

    /** Whether a crop of it can be taken from a picture whose longer side is given. */
    internal fun fits(longest: Int): Boolean =
        x.isFinite() && y.isFinite() && side.isFinite() && angle.isFinite() && side <= LARGEST_SIDE_OF_PICTURE * longest
}

/** Roll of a face in degrees, from the line through the eyes of its 68 points; positive: its left eye is lower. */
internal fun rollOf(points: FloatArray): Double {
    var x = 0.0
    var y = 0.0
    for (i in 36 until 42) {
        x += points[2 * i + 12] - points[2 * i].toDouble()
        y += points[2 * i + 13] - points[2 * i + 1].toDouble()
    }
    return atan2(y, x) / RADIANS
}

/** The upright square around a face that the keypoint networks look at, from its 68 points: x, y, x, y, ... in pixels. */
fun squareFromPoints(pointsPx: FloatArray): Square {
    if (pointsPx.size != 2 * FACE_POINTS) throw BadInput("got ${pointsPx.size} values; a square needs $FACE_POINTS points, x and y of each")
    val angle = -rollOf(pointsPx)
    val c = cos(angle * RADIANS)
    val s = sin(angle * RADIANS)
    var left = Double.POSITIVE_INFINITY
    var right = Double.NEGATIVE_INFINITY
    var top = Double.POSITIVE_INFINITY
    var bottom = Double.NEGATIVE_INFINITY
    for (i in pointsPx.indices step 2) {
        val x = pointsPx[i] * c - pointsPx[i + 1] * s
        val y = pointsPx[i] * s + pointsPx[i + 1] * c
        left = minOf(left, x)
        right = maxOf(right, x)
        top = minOf(top, y)
        bottom = maxOf(bottom, y)
    }
    val x = (left + right) / 2
    val y = (top + bottom) / 2
    return Square(x * c + y * s, y * c - x * s, maxOf(right - left, bottom - top) * CROP_SCALE, angle)
}

/** The crop for the first network from a detector's box: a square about its centre, as in the training. */
internal fun squareOfBox(box: DoubleArray): Region {
    val (x0, y0, x1, y1) = box
    val side = maxOf(x1 - x0, y1 - y0) * SQUARE_OF_BOX
    return Region((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side, side)
}

/** The square about the box of 68 points that networks for upright faces look at; x, y, x, y, ... in pixels. */
internal fun regionAround(pointsPx: FloatArray): Region {
    var left = Double.POSITIVE_INFINITY
    var right = Double.NEGATIVE_INFINITY
    var top = Double.POSITIVE_INFINITY
    var bottom = Double.NEGATIVE_INFINITY
    for (i in pointsPx.indices step 2) {
        left = minOf(left, pointsPx[i].toDouble())
        right = maxOf(right, pointsPx[i].toDouble())
        top = minOf(top, pointsPx[i + 1].toDouble())
        bottom = maxOf(bottom, pointsPx[i + 1].toDouble())
    }
    val side = maxOf(right - left, bottom - top) * CROP_SCALE
    return Region((left + right - side + 1) / 2, (top + bottom - side + 1) / 2, side, side)
}

/**
 * Turns one square after the other into the input tensor; keeps its memory.
 *
 * A pixel of the crop is the mean of k x k bilinear samples, k = ceil(side / size), 32 at most; beyond the picture's border
 * edge pixels repeat.
 */
class SquareSampler(private val size: Int) {
    /** (1, 3, size, size) RGB in [0, 1]; overwritten by every [sample]. */
    val tensor = FloatArray(3 * size * size)
    private var row = FloatArray(0)

    /** Red, green, blue of the part of the picture that the square touches. */
    private var pixels = ByteArray(0)
    private var left = 0
    private var top = 0
    private var columns = 0
    private var rows = 0
    private var red = 0.0
    private var green = 0.0
    private var blue = 0.0

    /** Fill [tensor]. */
    fun sample(source: PixelSource, square: Square) {
        if (!square.fits(Int.MAX_VALUE) || square.side < 0) throw BadInput("$square has no crop; allowed: finite numbers, a side of 0 or more")
        val fine = ceil(square.side / size).coerceIn(1.0, MOST_SAMPLES.toDouble()).toInt()
        val c = cos(square.angle * RADIANS)
        val s = sin(square.angle * RADIANS)
        read(source, square, square.side / 2 * (abs(c) + abs(s)))
        val step = square.side / (size * fine)
        val scale = 1.0 / (255 * fine * fine)
        for (oy in 0 until size) {
            for (ox in 0 until size) {
                red = 0.0
                green = 0.0
                blue = 0.0
                for (j in 0 until fine) {
                    val v = (oy * fine + j + 0.5) * step - square.side / 2
                    for (i in 0 until fine) {
                        val u = (ox * fine + i + 0.5) * step - square.side / 2
                        add(square.x + u * c + v * s - left, square.y - u * s + v * c - top)
                    }
                }
                val at = oy * size + ox
                tensor[at] = (red * scale).toFloat()
                tensor[at + size * size] = (green * scale).toFloat()
                tensor[at + 2 * size * size] = (blue * scale).toFloat()
            }
        }
    }

    /** Copies what lies within [reach] of the square's centre, one pixel at least: what is beyond is as its edge. */
    private fun read(source: PixelSource, square: Square, reach: Double) {
        left = (square.x - reach).toInt().coerceIn(0, source.width - 1)
        top = (square.y - reach).toInt().coerceIn(0, source.height - 1)
        columns = ((square.x + reach).toInt() + 1).coerceIn(left, source.width - 1) - left + 1
        rows = ((square.y + reach).toInt() + 1).coerceIn(top, source.height - 1) - top + 1
        if (row.size < 3 * columns) row = FloatArray(3 * columns)
        if (pixels.size < 3 * columns * rows) pixels = ByteArray(3 * columns * rows)
        var to = 0
        for (y in 0 until rows) {
            source.readRow(top + y, left, columns, row, 0)
            for (x in 0 until columns) {
                pixels[to++] = row[x].toInt().toByte()
                pixels[to++] = row[x + columns].toInt().toByte()
                pixels[to++] = row[x + 2 * columns].toInt().toByte()
            }
        }
    }

    /** One bilinear sample. */
    private fun add(x: Double, y: Double) {
        val inX = x.coerceIn(0.0, columns - 1.0)
        val inY = y.coerceIn(0.0, rows - 1.0)
        val x0 = inX.toInt()
        val y0 = inY.toInt()
        val across = inX - x0
        val down = inY - y0
        val upper = 3 * (y0 * columns + x0)
        val lower = if (y0 + 1 < rows) upper + 3 * columns else upper
        val right = if (x0 + 1 < columns) 3 else 0
        val a = (1 - across) * (1 - down)
        val b = across * (1 - down)
        val c = (1 - across) * down
        val d = across * down
        red += a * at(upper) + b * at(upper + right) + c * at(lower) + d * at(lower + right)
        green += a * at(upper + 1) + b * at(upper + right + 1) + c * at(lower + 1) + d * at(lower + right + 1)
        blue += a * at(upper + 2) + b * at(upper + right + 2) + c * at(lower + 2) + d * at(lower + right + 2)
    }

    private fun at(index: Int): Int = pixels[index].toInt() and 255
}

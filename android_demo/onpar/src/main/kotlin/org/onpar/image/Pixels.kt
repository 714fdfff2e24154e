package org.onpar

import kotlin.math.roundToInt

const val SMALLEST_SIDE = 8
const val LARGEST_SIDE = 16384

/** Upright pixels that preprocessing reads row by row; width and height are those of the upright picture. */
interface PixelSource {
    val width: Int
    val height: Int

    /** Write red, green and blue (0 to 255) of pixels [first, first + count) of a row into [out], one channel after the other. */
    fun readRow(y: Int, first: Int, count: Int, out: FloatArray, at: Int)
}

internal fun checkSize(width: Int, height: Int) {
    if (minOf(width, height) < SMALLEST_SIDE || maxOf(width, height) > LARGEST_SIDE) {
        throw BadInput("picture is ${width}x$height pixels; allowed: $SMALLEST_SIDE to $LARGEST_SIDE on each side")
    }
}

/**
 * Where upright pixel (x, y) lies in the stored picture: (x0 + x * xx + y * xy, y0 + x * yx + y * yy).
 *
 * EXIF value 1 is upright, 3 upside down, 6 needs a quarter turn clockwise, 8 anticlockwise; 2, 4, 5, 7 are mirrored.
 */
internal class Placement(storedWidth: Int, storedHeight: Int, orientation: Int) {
    init {
        checkSize(storedWidth, storedHeight)
        if (orientation !in 1..8) throw BadInput("orientation is $orientation; allowed: the EXIF values 1 to 8")
    }

    private val turned = orientation >= 5
    private val flipX = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8
    private val flipY = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7
    private val stepX = if (flipX) -1 else 1
    private val stepY = if (flipY) -1 else 1
    val width = if (turned) storedHeight else storedWidth
    val height = if (turned) storedWidth else storedHeight
    val xx = if (turned) 0 else stepX
    val xy = if (turned) stepX else 0
    val yx = if (turned) stepY else 0
    val yy = if (turned) 0 else stepY
    val x0 = if (flipX) storedWidth - 1 else 0
    val y0 = if (flipY) storedHeight - 1 else 0
}

/** A picture in memory: 3 (RGB) or 4 (RGBA; transparency is laid over white) bytes a pixel, without padding. */
class Picture(width: Int, height: Int, private val bytes: ByteArray, orientation: Int = 1) : PixelSource {
    private val place = Placement(width, height, orientation)
    private val storedWidth = width
    private val channels: Int = if (bytes.size.toLong() == 4L * width * height) 4 else 3
    override val width: Int get() = place.width
    override val height: Int get() = place.height

    init {
        if (bytes.size.toLong() != channels.toLong() * width * height) {
            throw BadInput("picture has ${bytes.size} bytes; ${width}x$height pixels need 3 or 4 bytes each")
        }
    }

    override fun readRow(y: Int, first: Int, count: Int, out: FloatArray, at: Int) {
        val p = place
        val step = (p.yx * storedWidth + p.xx) * channels
        var from = ((p.y0 + first * p.yx + y * p.yy) * storedWidth + p.x0 + first * p.xx + y * p.xy) * channels
        for (i in at until at + count) {
            val alpha = if (channels == 4) bytes[from + 3].toInt() and 255 else 255
            if (alpha == 255) {
                out[i] = (bytes[from].toInt() and 255).toFloat()
                out[i + count] = (bytes[from + 1].toInt() and 255).toFloat()
                out[i + 2 * count] = (bytes[from + 2].toInt() and 255).toFloat()
            } else {
                for (c in 0..2) out[i + c * count] = overWhite(bytes[from + c].toInt() and 255, alpha)
            }
            from += step
        }
    }

    private fun overWhite(value: Int, alpha: Int): Float = ((value * alpha + 255 * (255 - alpha)) / 255f).roundToInt().toFloat()
}

/** Bytes of one plane; strides in bytes, from row to row and from sample to sample. */
class Plane(val data: ByteArray, val rowStride: Int, val pixelStride: Int = 1)

enum class YuvRange { FULL, LIMITED }

/** Weights of red and blue in brightness, ITU-R BT.601 and BT.709. */
enum class YuvMatrix(val red: Double, val blue: Double) { BT601(0.299, 0.114), BT709(0.2126, 0.0722) }

/** A camera frame: a Y plane, and U and V planes of half the size. Integer arithmetic, as in reference/inputs/camera.py. */
class YuvFrame(
    width: Int,
    height: Int,
    private val y: Plane,
    private val u: Plane,
    private val v: Plane,
    orientation: Int = 1,
    range: YuvRange = YuvRange.FULL,
    matrix: YuvMatrix = YuvMatrix.BT601,
) : PixelSource {
    private val place = Placement(width, height, orientation)
    private val black = if (range == YuvRange.FULL) 0 else 16
    private val luma: Int
    private val redV: Int
    private val greenU: Int
    private val greenV: Int
    private val blueU: Int
    override val width: Int get() = place.width
    override val height: Int get() = place.height

    init {
        checkPlane("Y", y, width, height)
        checkPlane("U", u, (width + 1) / 2, (height + 1) / 2)
        checkPlane("V", v, (width + 1) / 2, (height + 1) / 2)
        val green = 1 - matrix.red - matrix.blue
        val full = range == YuvRange.FULL
        val chroma = if (full) 65536.0 else 65536.0 * 255 / 224
        luma = (if (full) 65536.0 else 65536.0 * 255 / 219).roundToInt()
        redV = (chroma * 2 * (1 - matrix.red)).roundToInt()
        greenU = -(chroma * 2 * matrix.blue * (1 - matrix.blue) / green).roundToInt()
        greenV = -(chroma * 2 * matrix.red * (1 - matrix.red) / green).roundToInt()
        blueU = (chroma * 2 * (1 - matrix.blue)).roundToInt()
    }

    override fun readRow(y: Int, first: Int, count: Int, out: FloatArray, at: Int) {
        val p = place
        val luminance = this.y
        val rx = p.x0 + first * p.xx + y * p.xy
        val ry = p.y0 + first * p.yx + y * p.yy
        val step = p.yx * luminance.rowStride + p.xx * luminance.pixelStride
        var from = ry * luminance.rowStride + rx * luminance.pixelStride
        // Two neighbours share U and V: along the row, whichever way it lies in the frame, this position tells which.
        var position = if (p.xx != 0) rx else ry
        val forward = p.xx + p.yx
        var red = 0
        var green = 0
        var blue = 0
        var chroma = -1
        for (i in at until at + count) {
            val half = position shr 1
            if (half != chroma) {
                chroma = half
                val cx = if (p.xx != 0) half else rx shr 1
                val cy = if (p.xx != 0) ry shr 1 else half
                val cu = (u.data[cy * u.rowStride + cx * u.pixelStride].toInt() and 255) - 128
                val cv = (v.data[cy * v.rowStride + cx * v.pixelStride].toInt() and 255) - 128
                red = redV * cv
                green = greenU * cu + greenV * cv
                blue = blueU * cu
            }
            val bright = luma * ((luminance.data[from].toInt() and 255) - black) + 32768
            out[i] = toByte((bright + red) shr 16)
            out[i + count] = toByte((bright + green) shr 16)
            out[i + 2 * count] = toByte((bright + blue) shr 16)
            from += step
            position += forward
        }
    }

    private fun toByte(value: Int): Float = minOf(maxOf(value, 0), 255).toFloat()

    private fun checkPlane(name: String, plane: Plane, width: Int, height: Int) {
        val row = (width - 1L) * plane.pixelStride + 1
        val needed = (height - 1L) * plane.rowStride + row
        if (plane.pixelStride < 1 || plane.rowStride < row || plane.data.size < needed) {
            throw BadInput(
                "plane $name has ${plane.data.size} bytes, row stride ${plane.rowStride}, pixel stride " +
                    "${plane.pixelStride}; ${width}x$height samples need $needed bytes and a row stride of at least $row",
            )
        }
    }
}

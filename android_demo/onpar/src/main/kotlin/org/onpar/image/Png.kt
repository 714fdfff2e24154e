package org.onpar

import java.nio.ByteBuffer
import java.util.zip.DataFormatException
import java.util.zip.Inflater
import kotlin.math.abs

/**
 * Reads the PNG files of golden inputs and depth maps: 8-bit RGB or RGBA, or 16-bit grey, not interlaced.
 *
 * Android's own reader cuts 16 bits to 8 and may change colours; for photos of the user it is the right one.
 */
object Png {
    private const val SIGNATURE = -0x76afb1b8f2f5e5f6L // 89 50 4E 47 0D 0A 1A 0A
    private const val LAST_FILTER = 4
    private const val HEADER = 0x49484452
    private const val DATA = 0x49444154

    fun picture(content: ByteArray): Picture {
        val image = decode(content)
        if (image.bits != 8 || image.color !in setOf(2, 6)) {
            throw BadInput("the PNG has ${image.bits} bits, colour type ${image.color}; allowed: 8-bit RGB or RGBA")
        }
        return Picture(image.width, image.height, image.rows)
    }

    /** Rows from the top, big-endian samples; [color] is PNG's colour type. */
    internal class Image(val width: Int, val height: Int, val bits: Int, val color: Int, val rows: ByteArray)

    internal fun decode(content: ByteArray): Image {
        val view = ByteBuffer.wrap(content)
        if (content.size < 33 || view.getLong(0) != SIGNATURE || view.getInt(12) != HEADER) {
            throw BadInput("the file is no PNG; give a PNG file")
        }
        val width = view.getInt(16)
        val height = view.getInt(20)
        checkSize(width, height)
        val bits = view.get(24).toInt()
        val color = view.get(25).toInt()
        val samples = mapOf(0 to 1, 2 to 3, 6 to 4)[color] ?: 0
        if (bits < 8 || samples == 0 || view.get(28).toInt() != 0) {
            throw BadInput("the PNG has $bits bits, colour type $color; allowed: 8-bit RGB or RGBA, 16-bit grey, not interlaced")
        }
        val pixel = samples * bits / 8
        return Image(width, height, bits, color, unfilter(inflate(view, height * (width * pixel + 1)), width * pixel, height, pixel))
    }

    private fun inflate(view: ByteBuffer, size: Int): ByteArray {
        val inflater = Inflater()
        val out = ByteArray(size)
        var filled = 0
        try {
            var at = 8
            while (at + 12 <= view.limit() && filled < size) {
                val length = view.getInt(at)
                if (length < 0 || length > view.limit() - at - 12) break
                if (view.getInt(at + 4) == DATA) {
                    inflater.setInput(view.array(), at + 8, length)
                    while (filled < size && !inflater.needsInput() && !inflater.finished()) {
                        filled += inflater.inflate(out, filled, size - filled)
                    }
                }
                at += 12 + length
            }
        } catch (error: DataFormatException) {
            throw BadInput("the PNG is damaged (${error.message}); give the file again")
        } finally {
            inflater.end()
        }
        if (filled < size) throw BadInput("the PNG is damaged: rows are missing; give the file again")
        return out
    }

    /** Undo the filter of each row (PNG, chapter 9). */
    private fun unfilter(packed: ByteArray, stride: Int, height: Int, pixel: Int): ByteArray {
        val rows = ByteArray(height * stride)
        for (y in 0 until height) {
            val filter = packed[y * (stride + 1)].toInt() and 255
            if (filter > LAST_FILTER) {
                throw BadInput("the PNG is damaged: row $y has filter $filter; allowed: 0 to 4; give the file again")
            }
            for (x in 0 until stride) {
                val at = y * stride + x
                val left = if (x >= pixel) rows[at - pixel].toInt() and 255 else 0
                val up = if (y > 0) rows[at - stride].toInt() and 255 else 0
                val corner = if (x >= pixel && y > 0) rows[at - stride - pixel].toInt() and 255 else 0
                val predicted =
                    when (filter) {
                        1 -> left
                        2 -> up
                        3 -> (left + up) / 2
                        4 -> paeth(left, up, corner)
                        else -> 0
                    }
                rows[at] = (packed[y * (stride + 1) + 1 + x] + predicted).toByte()
            }
        }
        return rows
    }

    private fun paeth(left: Int, up: Int, corner: Int): Int {
        val estimate = left + up - corner
        val l = abs(estimate - left)
        val u = abs(estimate - up)
        val c = abs(estimate - corner)
        return if (l <= u && l <= c) left else if (u <= c) up else corner
    }
}

package org.onpar

import java.nio.ByteBuffer
import java.util.zip.Deflater
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

/** PNG files made here: 8 x 8 pixels of 16-bit grey, whose rows name a filter, or of what a header says. */
class PngTest {
    private fun png(filter: Int, bits: Int = 16, color: Int = 0, interlaced: Int = 0): ByteArray {
        val rows = ByteArray(8 * 17) { i -> if (i % 17 == 0) filter.toByte() else i.toByte() }
        val packed = ByteArray(1000)
        val deflater = Deflater()
        deflater.setInput(rows)
        deflater.finish()
        val length = deflater.deflate(packed)
        deflater.end()
        val file = ByteBuffer.allocate(8 + 25 + 12 + length)
        file.putLong(-0x76afb1b8f2f5e5f6L)
        file.putInt(13).putInt(0x49484452).putInt(8).putInt(8)
        file.put(byteArrayOf(bits.toByte(), color.toByte(), 0, 0, interlaced.toByte())).putInt(0)
        file.putInt(length).putInt(0x49444154).put(packed, 0, length).putInt(0)
        return file.array()
    }

    @Test
    fun `rows with the five filters are read`() {
        for (filter in 0..4) assertEquals(128, Png.decode(png(filter)).rows.size)
        assertEquals(1, Png.decode(png(0)).rows[0].toInt())
    }

    @Test
    fun `a row with another filter is refused`() {
        for (filter in listOf(5, 255)) {
            val error = assertFailsWith<BadInput> { Png.decode(png(filter)) }
            assertContains(error.message!!, "row 0 has filter $filter; allowed: 0 to 4")
        }
    }

    @Test
    fun `palettes, grey with alpha, few bits and interlaced files are refused`() {
        for ((bits, color, interlaced) in listOf(Triple(8, 3, 0), Triple(16, 4, 0), Triple(4, 0, 0), Triple(16, 0, 1))) {
            val error = assertFailsWith<BadInput> { Png.decode(png(0, bits, color, interlaced)) }
            assertContains(error.message!!, "has $bits bits, colour type $color; allowed: 8-bit RGB or RGBA, 16-bit grey")
        }
    }

    @Test
    fun `a file that is cut or has rows missing is refused`() {
        val whole = png(0)
        for (size in listOf(0, 20, 40, whole.size - 30)) {
            assertFailsWith<BadInput> { Png.decode(whole.copyOf(size)) }
        }
    }
}

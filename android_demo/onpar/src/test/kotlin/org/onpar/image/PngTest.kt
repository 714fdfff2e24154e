package org.onpar

import java.nio.ByteBuffer
import java.util.zip.Deflater
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

/** PNG files made here: 8 x 8 pixels of 16-bit grey, whose rows name a filter. */
class PngTest {
    private fun png(filter: Int): ByteArray {
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
        file.put(byteArrayOf(16, 0, 0, 0, 0)).putInt(0)
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
}

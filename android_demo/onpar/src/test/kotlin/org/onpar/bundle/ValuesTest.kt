package org.onpar

import kotlin.test.assertContains
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import org.junit.Test

class ValuesTest {
    private val halves =
        mapOf(
            0x0000 to 0f, 0x0001 to 5.9604645e-8f, 0x03ff to 6.097555e-5f, 0x0400 to 6.1035156e-5f, 0x3555 to 0.33325195f,
            0x3c00 to 1f, 0x7bff to 65504f, 0xc000 to -2f, 0x7c00 to Float.POSITIVE_INFINITY, 0xfc00 to Float.NEGATIVE_INFINITY,
        )

    @Test
    fun `halves are read and written`() {
        for ((bits, value) in halves) {
            assertEquals(value, halfToFloat(bits.toShort()))
            assertEquals(bits.toShort(), floatToHalf(value, "x"))
        }
        assertTrue(halfToFloat(floatToHalf(Float.NaN, "x")).isNaN())
    }

    @Test
    fun `every half comes back, and what lies between goes to the nearer one`() {
        for (bits in 0 until 0x7c00) assertEquals(bits.toShort(), floatToHalf(halfToFloat(bits.toShort()), "x"))
        // 2049 lies in the middle between 2048 and 2050, 2051 between 2050 and 2052: the even ones.
        assertEquals(listOf(2048f, 2052f, 65504f), listOf(2049f, 2051f, 65519f).map { halfToFloat(floatToHalf(it, "x")) })
        assertContains(assertFailsWith<BadInput> { floatToHalf(65520f, "x") }.message!!, "65504")
    }

    @Test
    fun `bytes are read by their type`() {
        val bytes = byteArrayOf(1, 0, 0, -128, 0, 0, -128, 63)
        assertContentEquals(intArrayOf(-2147483647, 1065353216), valuesOf(bytes, DType.INT32) as IntArray)
        assertContentEquals(longArrayOf(0x3f80000080000001L), valuesOf(bytes, DType.INT64) as LongArray)
        assertContentEquals(floatArrayOf(-1.4e-45f, 1f), valuesOf(bytes, DType.FLOAT32) as FloatArray)
        assertContentEquals(booleanArrayOf(true, false), (valuesOf(bytes, DType.BOOL) as BooleanArray).copyOf(2))
        assertEquals(128.0, numberAt(valuesOf(bytes, DType.UINT8), 3))
    }
}

package org.onpar

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

/** Types of tensors; [bytes] of one value, and the [array] that holds them here. */
enum class DType(val text: String, val bytes: Int, val array: String) {
    FLOAT32("float32", 4, "FloatArray"),
    FLOAT16("float16", 2, "FloatArray"),
    INT32("int32", 4, "IntArray"),
    INT64("int64", 8, "LongArray"),
    UINT8("uint8", 1, "ByteArray"),
    BOOL("bool", 1, "BooleanArray"),
}

/**
 * Tensors by name, row by row: a FloatArray for float32 and float16, an IntArray for int32, a LongArray for int64, a
 * ByteArray for uint8 (`toInt() and 255` is the value), a BooleanArray for bool.
 */
typealias NamedValues = Map<String, Any>

/** Little-endian bytes as values. */
internal fun valuesOf(content: ByteArray, dtype: DType): Any {
    val buffer = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
    val count = content.size / dtype.bytes
    return when (dtype) {
        DType.FLOAT32 -> FloatArray(count) { buffer.getFloat() }
        DType.FLOAT16 -> FloatArray(count) { halfToFloat(buffer.getShort()) }
        DType.INT32 -> IntArray(count) { buffer.getInt() }
        DType.INT64 -> LongArray(count) { buffer.getLong() }
        DType.UINT8 -> content.copyOf()
        DType.BOOL -> BooleanArray(count) { content[it] != 0.toByte() }
    }
}

internal fun countOf(values: Any?): Int =
    when (values) {
        is FloatArray -> values.size
        is IntArray -> values.size
        is LongArray -> values.size
        is ByteArray -> values.size
        is BooleanArray -> values.size
        is ShortArray -> values.size
        else -> 0
    }

/** For metrics and decoders: exact, but of whole numbers beyond 2^53. */
internal fun numberAt(values: Any, i: Int): Double =
    when (values) {
        is FloatArray -> values[i].toDouble()
        is IntArray -> values[i].toDouble()
        is LongArray -> values[i].toDouble()
        is ByteArray -> (values[i].toInt() and 255).toDouble()
        is BooleanArray -> if (values[i]) 1.0 else 0.0
        is ShortArray -> halfToFloat(values[i]).toDouble()
        else -> Double.NaN
    }

/** Refuse other inputs than the network takes. */
internal fun checkInputs(inputs: List<TensorEntry>, given: NamedValues) {
    val unknown = given.keys - inputs.map { it.name }.toSet()
    if (unknown.isNotEmpty()) throw BadInput("there is no input '${unknown.first()}'; allowed: ${inputs.joinToString { it.name }}")
    for (tensor in inputs) {
        val values = given[tensor.name]
        val name = values?.let { it::class.simpleName } ?: "missing"
        if (name != tensor.dtype.array || countOf(values) != tensor.size) {
            throw BadInput(
                "input '${tensor.name}' is ${if (values == null) name else "a $name of ${countOf(values)} values"}; needed: a " +
                    "${tensor.dtype.array} of ${tensor.size} values, ${tensor.dtype.text} ${tensor.shape}",
            )
        }
    }
}

/** Values in the type that an artifact holds them in: [DType.INT64] may be int32 there. One that does not fit is refused. */
internal fun toArtifact(values: Any, dtype: DType, name: String): Any =
    when {
        values is LongArray && dtype == DType.INT32 -> IntArray(values.size) { narrow(values[it], name) }
        values is FloatArray && dtype == DType.FLOAT16 -> ShortArray(values.size) { floatToHalf(values[it], name) }
        else -> values
    }

/** A copy of an artifact's values in the network's own type. */
internal fun toNetwork(values: Any, dtype: DType): Any =
    when (values) {
        is IntArray -> if (dtype == DType.INT64) LongArray(values.size) { values[it].toLong() } else values.copyOf()
        is ShortArray -> FloatArray(values.size) { halfToFloat(values[it]) }
        is FloatArray -> values.copyOf()
        is LongArray -> values.copyOf()
        is ByteArray -> values.copyOf()
        is BooleanArray -> values.copyOf()
        else -> values
    }

private fun narrow(value: Long, name: String): Int {
    if (value != value.toInt().toLong()) {
        throw BadInput("input '$name' holds $value; the artifact takes 32 bits: ${Int.MIN_VALUE} to ${Int.MAX_VALUE}")
    }
    return value.toInt()
}

private const val HALF_LIMIT = 65520f // from here on a number rounds to infinity
private const val SMALLEST_EXPONENT = -14

/** IEEE 754 binary16: a sign, 5 bits of exponent, 10 of fraction. Android's own class is on no PC. */
internal fun halfToFloat(half: Short): Float {
    val bits = half.toInt() and 0xffff
    val fraction = bits and 0x3ff
    val size =
        when (val exponent = bits shr 10 and 0x1f) {
            0 -> Math.scalb(fraction.toFloat(), -24)
            0x1f -> if (fraction == 0) Float.POSITIVE_INFINITY else Float.NaN
            else -> Math.scalb((fraction + 1024).toFloat(), exponent - 25)
        }
    return if (bits and 0x8000 == 0) size else -size
}

/** The nearest half, of two as near the even one. */
internal fun floatToHalf(value: Float, name: String): Short {
    val sign = value.toRawBits() ushr 16 and 0x8000
    if (value.isNaN()) return (sign or 0x7e00).toShort()
    val size = abs(value)
    if (size >= HALF_LIMIT) {
        if (size.isInfinite()) return (sign or 0x7c00).toShort()
        throw BadInput("input '$name' holds $value; float16 ends at 65504")
    }
    val exponent = maxOf(Math.getExponent(size), SMALLEST_EXPONENT)
    val steps = Math.rint(Math.scalb(size.toDouble(), 10 - exponent)).toInt()
    return (sign or (steps + (exponent - SMALLEST_EXPONENT shl 10))).toShort()
}

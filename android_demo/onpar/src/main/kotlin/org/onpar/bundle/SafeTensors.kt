package org.onpar

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/** The tensors of a safetensors file; each is read only after its type, shape and place were checked. */
internal class SafeTensors private constructor(
    private val name: String,
    private val advice: String,
    private val header: JSONObject,
    private val data: ByteBuffer,
) {
    val metadata: JSONObject = header.optJSONObject("__metadata__") ?: JSONObject()

    /** Of the tensors' bytes, without the header. */
    val sha256: String get() = sha256(data.array())

    fun list(key: String): JSONArray = JSONArray(metadata.getString(key))

    /** A tensor's first dimension. */
    fun length(tensor: String): Int = shape(tensor).firstOrNull() ?: 0

    fun shape(tensor: String): IntArray {
        val shape = entry(tensor).getJSONArray("shape")
        return IntArray(shape.length()) { shape.getInt(it) }
    }

    /** A tensor's bytes; its type and shape must be the expected ones. */
    fun bytes(tensor: String, types: List<String>, wanted: IntArray): ByteBuffer {
        val entry = entry(tensor)
        val type = entry.getString("dtype")
        val shape = shape(tensor)
        if (type !in types || !shape.contentEquals(wanted) || shape.any { it < 0 }) {
            throw damaged("'$tensor' is $type ${shape.toList()}; allowed: ${types.joinToString(" or ")} ${wanted.toList()}")
        }
        val begin = entry.getJSONArray("data_offsets").getLong(0)
        val end = entry.getJSONArray("data_offsets").getLong(1)
        // A product of sizes that overflows a double's 53 bits can't fit any file either.
        val size = shape.fold(BYTES.getValue(type).toDouble()) { a, b -> a * b }
        if (begin < 0 || end > data.limit() || (end - begin).toDouble() != size) throw damaged("'$tensor' lies outside the file")
        return data.duplicate().order(ByteOrder.LITTLE_ENDIAN).apply { limit(end.toInt()).position(begin.toInt()) }
            .slice().order(ByteOrder.LITTLE_ENDIAN)
    }

    fun floats(tensor: String, vararg shape: Int): FloatArray {
        val source = bytes(tensor, listOf("F32"), shape).asFloatBuffer()
        val values = FloatArray(source.remaining()).also { source.get(it) }
        if (!values.all { it.isFinite() }) throw damaged("'$tensor' holds values that are no numbers")
        return values
    }

    /** Whole numbers from [first] to below [end]. */
    fun integers(tensor: String, first: Int, end: Int, vararg shape: Int): IntArray {
        val source = bytes(tensor, listOf("U8", "U16", "U32", "I32"), shape)
        val values =
            when (entry(tensor).getString("dtype")) {
                "U8" -> IntArray(source.remaining()) { source.get(it).toInt() and 0xff }
                "U16" -> IntArray(source.remaining() / 2) { source.getShort(2 * it).toInt() and 0xffff }
                else -> IntArray(source.remaining() / 4) { source.getInt(4 * it) }
            }
        val wrong = values.firstOrNull { it < first || it >= end }
        if (wrong != null) throw damaged("$tensor names $wrong; allowed: $first to ${end - 1}")
        return values
    }

    fun damaged(what: String): BundleInvalid = BundleInvalid("$name: $what; $advice")

    private fun entry(tensor: String): JSONObject = header.optJSONObject(tensor) ?: throw damaged("no tensor '$tensor'")

    companion object {
        private val BYTES = mapOf("U8" to 1, "U16" to 2, "U32" to 4, "I32" to 4, "F32" to 4)

        /**
         * Read a file's header and let [use] read its tensors.
         *
         * @param kind what the file should be, and [advice] what to do where it is not.
         */
        fun <T> read(content: ByteArray, name: String, kind: String, advice: String, use: (SafeTensors) -> T): T {
            val length = if (content.size < 8) -1 else ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).getLong(0)
            if (length < 2 || length > content.size - 8) {
                throw BundleInvalid("$name is no $kind or is cut: ${content.size} bytes; $advice")
            }
            val start = 8 + length.toInt()
            try {
                val header = JSONObject(String(content, 8, start - 8, Charsets.UTF_8))
                return use(SafeTensors(name, advice, header, ByteBuffer.wrap(content.copyOfRange(start, content.size))))
            } catch (error: JSONException) {
                throw BundleInvalid("$name has a damaged header (${error.message}); $advice")
            }
        }
    }
}

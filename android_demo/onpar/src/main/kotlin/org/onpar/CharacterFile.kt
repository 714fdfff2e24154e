package org.onpar

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/** A movement: [frames] matrices per joint, [frameRate] of them a second; it repeats. */
class CharacterClip internal constructor(val name: String, val frameRate: Double, val frames: Int) {
    internal lateinit var matrices: FloatArray
    internal lateinit var goldenFrames: IntArray
    internal lateinit var goldenVertices: FloatArray
}

/** A character file (docs/character.md): read and checked; V vertices, M triangles, J joints. */
class CharacterFile private constructor(val name: String, header: JSONObject, private val data: ByteBuffer) {
    private val metadata = header.getJSONObject(METADATA)
    private val tensors = header
    val jointNames: List<String> = list("joint_names").let { names -> List(names.length()) { names.getString(it) } }

    /** V x 3: the rest pose, one figure tall. */
    val vertices: FloatArray
    val vertexCount: Int

    /** V x 2: place in the texture; (0, 0) is its top left corner. */
    val uvs: FloatArray

    /** M x 3 numbers of vertices. */
    val faces: IntArray

    /** The drawing, a PNG file. */
    val texturePng: ByteArray

    /** Per joint the joint above it, -1 for the root; with [restPositions] (J x 3), for showing the skeleton. */
    val parents: IntArray
    val restPositions: FloatArray
    val clips: List<CharacterClip>

    /** Largest deviation from the golden vertices, in figure heights. */
    val goldenLimit: Double
    internal val joints: IntArray
    internal val weights: FloatArray

    init {
        val joint = jointNames.size
        vertexCount = shape("vertices").firstOrNull() ?: 0
        if (vertexCount == 0 || joint == 0) throw damaged("no vertices or joints")
        vertices = floats("vertices", vertexCount, 3)
        uvs = floats("uvs", vertexCount, 2)
        faces = integers("faces", shape("faces").firstOrNull() ?: 0, 3).also { indices("faces", it, 0, vertexCount) }
        joints = integers("joints", vertexCount, 4).also { indices("joints", it, 0, joint) }
        weights = floats("weights", vertexCount, 4).also(::checkWeights)
        parents = integers("parents", joint).also { indices("parents", it, -1, joint) }
        restPositions = floats("rest_positions", joint, 3)
        texturePng = ByteArray(shape("texture_png").firstOrNull() ?: 0)
        bytes("texture_png", listOf("U8"), intArrayOf(texturePng.size)).get(texturePng)
        goldenLimit = metadata.optString("golden_limit").toDoubleOrNull() ?: Double.NaN
        // A limit that any skinning keeps would prove nothing.
        if (!(goldenLimit > 0 && goldenLimit <= LARGEST_LIMIT)) throw damaged("golden_limit is $goldenLimit; allowed: up to $LARGEST_LIMIT")
        clips = list("clips").let { clips -> List(clips.length()) { clip(clips.getJSONObject(it)) } }
        if (clips.isEmpty() || clips.distinctBy { it.name }.size < clips.size) throw damaged("no clips, or two of one name")
    }

    private fun clip(entry: JSONObject): CharacterClip {
        val clip = CharacterClip(entry.getString("name"), entry.getDouble("frame_rate"), entry.getInt("frames"))
        if (!(clip.frameRate > 0 && clip.frameRate.isFinite()) || clip.frames < 1) {
            throw damaged("clip ${clip.name} has ${clip.frames} frames at ${clip.frameRate} a second")
        }
        clip.matrices = floats("clip.${clip.name}.matrices", clip.frames, jointNames.size, 3, 4)
        val golden = shape("golden.${clip.name}.frames").firstOrNull() ?: 0
        if (golden == 0) throw damaged("clip ${clip.name} has no golden frames")
        clip.goldenFrames = integers("golden.${clip.name}.frames", golden).also { indices("golden frames", it, 0, clip.frames) }
        clip.goldenVertices = floats("golden.${clip.name}.vertices", golden, vertexCount, 3)
        return clip
    }

    private fun list(key: String): JSONArray = JSONArray(metadata.getString(key))

    private fun shape(tensor: String): IntArray {
        val shape = entry(tensor).getJSONArray("shape")
        return IntArray(shape.length()) { shape.getInt(it) }
    }

    private fun entry(tensor: String): JSONObject = tensors.optJSONObject(tensor) ?: throw damaged("no tensor '$tensor'")

    /** A tensor's bytes; its type and shape must be the expected ones. */
    private fun bytes(tensor: String, types: List<String>, wanted: IntArray): ByteBuffer {
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

    private fun floats(tensor: String, vararg shape: Int): FloatArray {
        val source = bytes(tensor, listOf("F32"), shape).asFloatBuffer()
        val values = FloatArray(source.remaining()).also { source.get(it) }
        if (!values.all { it.isFinite() }) throw damaged("'$tensor' holds values that are no numbers")
        return values
    }

    private fun integers(tensor: String, vararg shape: Int): IntArray {
        val source = bytes(tensor, listOf("U8", "U16", "U32", "I32"), shape)
        return when (entry(tensor).getString("dtype")) {
            "U8" -> IntArray(source.remaining()) { source.get(it).toInt() and 0xff }
            "U16" -> IntArray(source.remaining() / 2) { source.getShort(2 * it).toInt() and 0xffff }
            else -> IntArray(source.remaining() / 4) { source.getInt(4 * it) }
        }
    }

    private fun indices(what: String, values: IntArray, first: Int, end: Int) {
        val wrong = values.firstOrNull { it < first || it >= end } ?: return
        throw damaged("$what names $wrong; allowed: $first to ${end - 1}")
    }

    private fun checkWeights(weights: FloatArray) {
        for (v in 0 until vertexCount) {
            val sum = weights[4 * v] + weights[4 * v + 1] + weights[4 * v + 2] + weights[4 * v + 3]
            if (abs(sum - 1) > WEIGHT_SLACK) throw damaged("the weights of vertex $v sum to $sum; allowed: 1")
        }
    }

    private fun damaged(what: String): BundleInvalid = BundleInvalid("$name: $what; write it again with reference.animate")

    companion object {
        private const val FORMAT = "onpar.character"
        private const val VERSION = "1"
        private const val METADATA = "__metadata__"
        private const val LARGEST_LIMIT = 1e-4
        private const val WEIGHT_SLACK = 1e-3
        private val BYTES = mapOf("U8" to 1, "U16" to 2, "U32" to 4, "I32" to 4, "F32" to 4)

        /** Read a file's bytes and check format, version, SHA-256 and every tensor. */
        fun parse(content: ByteArray, name: String = "character"): CharacterFile {
            try {
                val start = dataStart(content, name)
                val header = JSONObject(String(content, 8, start - 8, Charsets.UTF_8))
                val metadata = header.optJSONObject(METADATA) ?: JSONObject()
                val found = "${metadata.opt("format")} ${metadata.opt("format_version")}"
                if (found != "$FORMAT $VERSION") {
                    throw BundleInvalid("$name has format $found; allowed: $FORMAT $VERSION; update onpar or write the file again")
                }
                val data = content.copyOfRange(start, content.size)
                if (sha256(data) != metadata.opt("sha256")) {
                    throw ChecksumMismatch("$name is cut or differs from its sha256; get the file again")
                }
                return CharacterFile(name, header, ByteBuffer.wrap(data))
            } catch (error: JSONException) {
                throw BundleInvalid("$name has a damaged header (${error.message}); write it again with reference.animate")
            }
        }

        private fun dataStart(content: ByteArray, name: String): Int {
            val length = if (content.size < 8) -1 else ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).getLong(0)
            if (length < 2 || length > content.size - 8) {
                throw BundleInvalid("$name is no character file or is cut: ${content.size} bytes; give one that reference.animate wrote")
            }
            return 8 + length.toInt()
        }
    }
}

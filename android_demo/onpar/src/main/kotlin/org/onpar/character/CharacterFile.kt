package org.onpar

import kotlin.math.abs
import org.json.JSONObject

/** A movement: [frames] matrices per joint, [frameRate] of them a second; it repeats. */
class CharacterClip internal constructor(val name: String, val frameRate: Double, val frames: Int) {
    internal lateinit var matrices: FloatArray
    internal lateinit var goldenFrames: IntArray
    internal lateinit var goldenVertices: FloatArray
}

/** A character file (docs/character.md): read and checked; V vertices, M triangles, J joints. */
class CharacterFile private constructor(val name: String, tensors: SafeTensors) {
    val jointNames: List<String> = tensors.list("joint_names").let { names -> List(names.length()) { names.getString(it) } }

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
        vertexCount = tensors.length("vertices")
        if (vertexCount == 0 || joint == 0) throw tensors.damaged("no vertices or joints")
        vertices = tensors.floats("vertices", vertexCount, 3)
        uvs = tensors.floats("uvs", vertexCount, 2)
        faces = tensors.integers("faces", 0, vertexCount, tensors.length("faces"), 3)
        joints = tensors.integers("joints", 0, joint, vertexCount, 4)
        weights = tensors.floats("weights", vertexCount, 4)
        checkWeights(tensors)
        parents = tensors.integers("parents", -1, joint, joint)
        restPositions = tensors.floats("rest_positions", joint, 3)
        texturePng = ByteArray(tensors.length("texture_png"))
        tensors.bytes("texture_png", listOf("U8"), intArrayOf(texturePng.size)).get(texturePng)
        goldenLimit = tensors.metadata.optString("golden_limit").toDoubleOrNull() ?: Double.NaN
        // A limit that any skinning keeps would prove nothing.
        if (!(goldenLimit > 0 && goldenLimit <= LARGEST_LIMIT)) {
            throw tensors.damaged("golden_limit is $goldenLimit; allowed: up to $LARGEST_LIMIT")
        }
        clips = tensors.list("clips").let { clips -> List(clips.length()) { clip(tensors, clips.getJSONObject(it)) } }
        if (clips.isEmpty() || clips.distinctBy { it.name }.size < clips.size) throw tensors.damaged("no clips, or two of one name")
    }

    private fun clip(tensors: SafeTensors, entry: JSONObject): CharacterClip {
        val clip = CharacterClip(entry.getString("name"), entry.getDouble("frame_rate"), entry.getInt("frames"))
        if (!(clip.frameRate > 0 && clip.frameRate.isFinite()) || clip.frames < 1) {
            throw tensors.damaged("clip ${clip.name} has ${clip.frames} frames at ${clip.frameRate} a second")
        }
        clip.matrices = tensors.floats("clip.${clip.name}.matrices", clip.frames, jointNames.size, 3, 4)
        val golden = tensors.length("golden.${clip.name}.frames")
        if (golden == 0) throw tensors.damaged("clip ${clip.name} has no golden frames")
        clip.goldenFrames = tensors.integers("golden.${clip.name}.frames", 0, clip.frames, golden)
        clip.goldenVertices = tensors.floats("golden.${clip.name}.vertices", golden, vertexCount, 3)
        return clip
    }

    private fun checkWeights(tensors: SafeTensors) {
        for (v in 0 until vertexCount) {
            val sum = weights[4 * v] + weights[4 * v + 1] + weights[4 * v + 2] + weights[4 * v + 3]
            if (abs(sum - 1) > WEIGHT_SLACK) throw tensors.damaged("the weights of vertex $v sum to $sum; allowed: 1")
        }
    }

    companion object {
        private const val FORMAT = "onpar.character"
        private const val VERSION = "1"
        private const val LARGEST_LIMIT = 1e-4
        private const val WEIGHT_SLACK = 1e-3

        /** Read a file's bytes and check format, version, SHA-256 and every tensor. */
        fun parse(content: ByteArray, name: String = "character"): CharacterFile =
            SafeTensors.read(content, name, "character file", "write it again with reference.animate") { tensors ->
                val found = tensors.metadata.run { "${opt("format")} ${opt("format_version")}" }
                if (found != "$FORMAT $VERSION") {
                    throw BundleInvalid("$name has format $found; allowed: $FORMAT $VERSION; update onpar or write the file again")
                }
                if (tensors.sha256 != tensors.metadata.opt("sha256")) {
                    throw ChecksumMismatch("$name is cut or differs from its sha256; get the file again")
                }
                CharacterFile(name, tensors)
            }
    }
}

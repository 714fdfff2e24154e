package org.onpar

import java.io.File
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock
import kotlin.math.abs
import kotlin.math.floor

/**
 * Moves a drawing: the vertices of a character file at a time.
 *
 * A frame allocates nothing: every call fills and returns the same V x 3 array, which is valid until the next call.
 */
class CharacterAnimator(val character: CharacterFile) {
    private val lock = ReentrantLock()
    private val posed = FloatArray(3 * character.vertexCount)
    private var lastTimestampMs = Double.NEGATIVE_INFINITY

    /**
     * Image mode: the vertices at any time; a clip repeats before its begin and after its end.
     *
     * @param timeMs since the clip's begin.
     * @param clip a name of [CharacterFile.clips]; the first without one.
     */
    fun pose(timeMs: Double, clip: String? = null): FloatArray = lock.withLock { run(timeMs, clip) }

    /** Video mode: null for a time that is not newer than the last, or that comes while another is worked on. */
    fun poseForVideo(timestampMs: Double, clip: String? = null): FloatArray? {
        if (!lock.tryLock()) return null
        try {
            if (timestampMs <= lastTimestampMs) return null
            val vertices = run(timestampMs, clip)
            lastTimestampMs = timestampMs
            return vertices
        } finally {
            lock.unlock()
        }
    }

    /** The frame that a time belongs to. */
    fun frameAt(timeMs: Double, clip: String? = null): Int = frame(find(clip), timeMs)

    /** Poses the golden frames of every clip and compares them with the file's golden vertices. */
    fun selfTest(): SelfTestReport {
        val checks = character.clips.map { SelfTestCheck("${it.name}: largest distance", goldenError(it), character.goldenLimit, false) }
        return SelfTestReport(character.name, "CPU", checks)
    }

    private fun run(timeMs: Double, clip: String?): FloatArray {
        val found = find(clip)
        skin(found, frame(found, timeMs), posed)
        return posed
    }

    // By index: an iterator would be an allocation.
    private fun find(name: String?): CharacterClip {
        val clips = character.clips
        for (i in clips.indices) if (name == null || clips[i].name == name) return clips[i]
        throw BadInput("${character.name} has no clip '$name'; allowed: ${clips.joinToString { it.name }}")
    }

    private fun frame(clip: CharacterClip, timeMs: Double): Int {
        val frame = floor(timeMs * clip.frameRate / 1000)
        if (!frame.isFinite()) throw BadInput("the time is $timeMs ms; allowed: a finite number")
        return frame.mod(clip.frames.toDouble()).toInt()
    }

    private fun goldenError(clip: CharacterClip): Double {
        val out = FloatArray(posed.size)
        var worst = 0.0
        clip.goldenFrames.forEachIndexed { k, golden ->
            // By the time in the middle of the frame, as an app asks.
            skin(clip, frame(clip, (golden + 0.5) * 1000 / clip.frameRate), out)
            for (i in out.indices) {
                val distance = abs(out[i].toDouble() - clip.goldenVertices[k * out.size + i])
                worst = if (distance.isNaN()) Double.POSITIVE_INFINITY else maxOf(worst, distance)
            }
        }
        return worst
    }

    /** posed[v] = sum of weight * (matrix * (vertex, 1)) over the four joints of v. */
    private fun skin(clip: CharacterClip, frame: Int, out: FloatArray) {
        val rest = character.vertices
        val matrices = clip.matrices
        val first = frame * character.jointNames.size * MATRIX
        for (v in 0 until character.vertexCount) {
            val x = rest[3 * v]
            val y = rest[3 * v + 1]
            val z = rest[3 * v + 2]
            var px = 0f
            var py = 0f
            var pz = 0f
            for (i in 4 * v until 4 * v + 4) {
                val weight = character.weights[i]
                val m = first + MATRIX * character.joints[i]
                px += weight * (matrices[m] * x + matrices[m + 1] * y + matrices[m + 2] * z + matrices[m + 3])
                py += weight * (matrices[m + 4] * x + matrices[m + 5] * y + matrices[m + 6] * z + matrices[m + 7])
                pz += weight * (matrices[m + 8] * x + matrices[m + 9] * y + matrices[m + 10] * z + matrices[m + 11])
            }
            out[3 * v] = px
            out[3 * v + 1] = py
            out[3 * v + 2] = pz
        }
    }

    companion object {
        private const val MATRIX = 12

        /** Open a file that reference.animate wrote. */
        fun fromFile(file: File): CharacterAnimator {
            if (!file.isFile) throw BundleNotFound("no character file ${file.name}; give one that reference.animate wrote")
            return fromBytes(file.readBytes(), file.name)
        }

        /** Open a file's bytes, an asset for one. */
        fun fromBytes(content: ByteArray, name: String = "character"): CharacterAnimator =
            CharacterAnimator(CharacterFile.parse(content, name))
    }
}

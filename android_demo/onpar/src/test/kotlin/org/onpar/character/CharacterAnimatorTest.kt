package org.onpar

import com.sun.management.ThreadMXBean
import java.io.File
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.test.assertContains
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Test

/** The project's golden character, and copies of it damaged in one way each. */
class CharacterAnimatorTest {
    private val file = File(ROOT, "models/motions/golden/char1.character.safetensors")
    private val content = file.readBytes()
    private val animator = CharacterAnimator.fromFile(file)

    private fun headerEnd(): Int = 8 + ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).getLong(0).toInt()

    /** The file with another header or other tensors, made consistent again, as its maker could. */
    private fun changed(change: (header: JSONObject, data: ByteBuffer) -> Unit): ByteArray {
        val header = JSONObject(String(content, 8, headerEnd() - 8))
        val data = content.copyOfRange(headerEnd(), content.size)
        header.getJSONObject("__metadata__").remove("sha256")
        change(header, ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN))
        val metadata = header.getJSONObject("__metadata__")
        if (!metadata.has("sha256")) metadata.put("sha256", sha256(data))
        val text = header.toString().toByteArray()
        val length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(text.size.toLong()).array()
        return length + text + data
    }

    private fun begin(header: JSONObject, tensor: String): Int = header.getJSONObject(tensor).getJSONArray("data_offsets").getInt(0)

    private inline fun <reified E : OnParException> refused(bytes: ByteArray, vararg parts: String) {
        val message = assertFailsWith<E> { CharacterAnimator.fromBytes(bytes) }.message!!
        for (part in parts) assertContains(message, part)
    }

    @Test
    fun `the golden poses`() {
        val report = animator.selfTest()
        assertTrue(report.passed, report.checks.joinToString { "${it.name} ${it.value}" })
        assertEquals(listOf("walk: largest distance"), report.checks.map { it.name })
        assertEquals(1e-5, report.checks[0].limit)
        assertTrue(report.checks[0].value < 1e-6)
    }

    @Test
    fun `pose gives golden vertices at a golden time`() {
        val clip = animator.character.clips[0]
        val size = 3 * animator.character.vertexCount
        for ((k, frame) in clip.goldenFrames.withIndex()) {
            val wanted = clip.goldenVertices.copyOfRange(k * size, (k + 1) * size)
            assertTrue(difference(animator.pose((frame + 0.5) * 1000 / 30), wanted) <= 1e-6)
            assertTrue(difference(animator.pose((frame + 1.5) * 1000 / 30), wanted) > 1e-4)
        }
    }

    @Test
    fun `a changed matrix turns the self-test red`() {
        val bytes = changed { header, data ->
            val frame = data.getInt(begin(header, "golden.walk.frames"))
            val at = begin(header, "clip.walk.matrices") + 4 * (12 * 16 * frame + 3)
            data.putFloat(at, data.getFloat(at) + 1e-3f)
        }
        val report = CharacterAnimator.fromBytes(bytes).selfTest()
        assertFalse(report.passed)
        assertTrue(report.checks[0].value > 1e-4)
    }

    @Test
    fun `the same file written again still passes`() = assertTrue(CharacterAnimator.fromBytes(changed { _, _ -> }).selfTest().passed)

    @Test
    fun `what a drawing needs is there`() {
        val character = animator.character
        assertEquals(3953, character.vertexCount)
        assertEquals(3 * 7902, character.faces.size)
        assertEquals(2 * 3953, character.uvs.size)
        assertEquals(16, character.jointNames.size)
        assertTrue(Png.picture(character.texturePng).width > 100)
        assertEquals("walk 30.0 41", character.clips[0].run { "$name $frameRate $frames" })
    }

    @Test
    fun `time goes round`() {
        assertEquals(listOf(0, 0, 1, 40, 0, 40), listOf(0.0, 33.0, 34.0, 1366.0, 1367.0, -1.0).map { animator.frameAt(it) })
        val period = 41_000.0 / 30
        assertContentEquals(animator.pose(500.0).clone(), animator.pose(500 + 1000 * period))
        assertContentEquals(animator.pose(500.0).clone(), animator.pose(500 - 3 * period))
    }

    @Test
    fun `no time, no clip`() {
        for (time in listOf(Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY)) {
            assertContains(assertFailsWith<BadInput> { animator.pose(time) }.message!!, "allowed: a finite number")
        }
        assertFailsWith<BadInput> { animator.poseForVideo(Double.NaN) }
        assertContains(assertFailsWith<BadInput> { animator.pose(0.0, "fly") }.message!!, "no clip 'fly'; allowed: walk")
        assertNotNull(animator.poseForVideo(0.0), "a refused time must not count as the last one")
    }

    @Test
    fun `video mode drops times that are not newer`() {
        assertNotNull(animator.poseForVideo(10.0))
        assertNull(animator.poseForVideo(10.0))
        assertNull(animator.poseForVideo(5.0))
        assertNotNull(animator.poseForVideo(11.0))
    }

    @Test
    fun `a frame allocates nothing`() {
        val bean = ManagementFactory.getThreadMXBean() as ThreadMXBean
        val me = Thread.currentThread().number()
        val first = animator.pose(0.0)
        fun play(from: Int) {
            for (i in from until from + 200) {
                // No assertion of the test library: those allocate.
                check(first === animator.pose(i * 7.0, "walk"))
                animator.poseForVideo(i * 7.0)
            }
        }
        play(0)
        val before = bean.getThreadAllocatedBytes(me)
        bean.getThreadAllocatedBytes(me)
        val asking = bean.getThreadAllocatedBytes(me) - before
        val began = bean.getThreadAllocatedBytes(me)
        play(200)
        val allocated = bean.getThreadAllocatedBytes(me) - began
        assertTrue(allocated <= asking + 1024, "400 calls allocated $allocated bytes")
    }

    private fun Thread.number(): Long = @Suppress("DEPRECATION") id

    @Test
    fun `the example of the documentation`() = assertEquals("3953 vertices, 3953 uvs, 7902 triangles", animate(file, 500.0))

    @Test
    fun `no file`() {
        val message = assertFailsWith<BundleNotFound> { CharacterAnimator.fromFile(File(ROOT, "nothing.safetensors")) }.message!!
        assertContains(message, "no character file nothing.safetensors")
    }

    @Test fun `an empty file`() = refused<BundleInvalid>(ByteArray(0), "0 bytes")

    @Test fun `no character file`() = refused<BundleInvalid>("a text that is no character".toByteArray(), "no character file")

    @Test fun `a cut header`() = refused<BundleInvalid>(content.copyOf(500), "cut")

    @Test fun `a cut file`() = refused<ChecksumMismatch>(content.copyOf(200_000), "cut")

    @Test fun `one bit`() =
        refused<ChecksumMismatch>(content.clone().also { it[300_000] = (it[300_000].toInt() xor 1).toByte() }, "sha256")

    @Test fun `a damaged header`() = refused<BundleInvalid>(content.clone().also { it[8] = 'x'.code.toByte() }, "damaged header")

    @Test
    fun `another hash`() =
        refused<ChecksumMismatch>(changed { header, _ -> header.getJSONObject("__metadata__").put("sha256", "0".repeat(64)) }, "sha256")

    @Test
    fun `a newer format`() =
        refused<BundleInvalid>(
            changed { header, _ -> header.getJSONObject("__metadata__").put("format_version", "2") },
            "onpar.character 2", "allowed: onpar.character 1", "update onpar",
        )

    @Test fun `another safetensors file`() = refused<BundleInvalid>(changed { h, _ -> h.put("__metadata__", JSONObject()) }, "format")

    @Test fun `a missing tensor`() = refused<BundleInvalid>(changed { header, _ -> header.remove("uvs") }, "no tensor 'uvs'")

    @Test
    fun `a tensor that lies outside`() =
        refused<BundleInvalid>(changed { header, _ -> header.getJSONObject("texture_png").put("data_offsets", JSONArray(listOf(0, 1 shl 30))) }, "outside")

    @Test
    fun `a tensor of another shape`() =
        refused<BundleInvalid>(changed { header, _ -> header.getJSONObject("weights").put("shape", JSONArray(listOf(3953, 2))) }, "weights", "allowed")

    @Test
    fun `a joint that is not there`() =
        refused<BundleInvalid>(changed { header, data -> data.put(begin(header, "joints"), 99) }, "joints names 99; allowed: 0 to 15")

    @Test
    fun `a matrix that is no number`() =
        refused<BundleInvalid>(changed { header, data -> data.putFloat(begin(header, "clip.walk.matrices"), Float.NaN) }, "no numbers")

    @Test
    fun `a limit that proves nothing`() =
        refused<BundleInvalid>(changed { header, _ -> header.getJSONObject("__metadata__").put("golden_limit", "10") }, "golden_limit")
}

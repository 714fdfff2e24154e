package org.onpar

import java.io.File
import java.nio.file.Files
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import org.json.JSONObject
import org.junit.After
import org.junit.Before
import org.junit.BeforeClass
import org.junit.Test

/** A copy of a real bundle, damaged in one way each. */
class BundleTest {
    private lateinit var folder: File

    @Before
    fun copy() {
        folder = Files.createTempDirectory("onpar").resolve("bundle").toFile()
        bundleFolder("classifier").copyRecursively(folder)
    }

    @After
    fun remove() {
        folder.parentFile.deleteRecursively()
    }

    private inline fun <reified E : OnParException> refused(vararg parts: String, noinline open: () -> Unit = { Bundle.open(folder) }) {
        val message = assertFailsWith<E> { open() }.message!!
        for (part in parts) assertContains(message, part)
    }

    private fun manifest(change: (String) -> String) = File(folder, "bundle.json").run { writeText(change(readText())) }

    /** Make a changed bundle consistent again, as its maker could. */
    private fun reseal() {
        val document = JSONObject(File(folder, "bundle.json").readText())
        for (entry in document.getJSONArray("files").objects()) {
            entry.put("sha256", sha256(File(folder, entry.getString("path")).readBytes()))
        }
        File(folder, "bundle.json").writeText(document.toString())
        val digest = sha256(File(folder, "bundle.json").readBytes())
        File(folder, "SIGNATURE").writeText("""{"algorithm": "none", "sha256": "$digest"}""")
    }

    @Test
    fun `a good bundle opens`() {
        val bundle = Bundle.open(folder)
        assertEquals(SignatureState.NOT_SIGNED, bundle.signature)
        assertEquals("image_classification", bundle.manifest.task)
        assertTrue(bundle.manifest.labels.size > 1)
    }

    @Test fun `no folder`() = refused<BundleNotFound>("nothing has no bundle.json") { Bundle.open(File(folder, "nothing")) }

    @Test
    fun `a newer format`() {
        manifest { it.replace("\"format_version\": 1", "\"format_version\": 2") }
        refused<BundleInvalid>("format_version 2", "allowed: 1", "update onpar")
    }

    @Test
    fun `an unknown key`() {
        manifest { it.replace("\"labels\": [", "\"lables\": [],\n\"labels\": [") }
        refused<BundleInvalid>("unknown 'lables'")
    }

    @Test
    fun `a missing key`() {
        manifest { it.replaceFirst("\"task\":", "\"tusk\":") }
        refused<BundleInvalid>("no 'task'")
    }

    @Test
    fun `a cut manifest`() {
        manifest { it.take(200) }
        refused<BundleInvalid>("no JSON")
    }

    @Test
    fun `a changed manifest`() {
        manifest { it.replace("\"labels\"", " \"labels\"") }
        refused<SignatureInvalid>("differs from its SIGNATURE")
    }

    @Test
    fun `a path that leads outside`() {
        manifest { it.replace("\"path\": \"card.md\"", "\"path\": \"../card.md\"") }
        refused<BundleInvalid>("outside the bundle")
    }

    @Test
    fun `a missing file`() {
        File(folder, "card.md").delete()
        refused<ChecksumMismatch>("lacks card.md")
    }

    @Test
    fun `no SIGNATURE`() {
        File(folder, "SIGNATURE").delete()
        refused<ChecksumMismatch>("lacks SIGNATURE")
    }

    @Test
    fun `one bit of the model`() {
        File(folder, "model.tflite").run { writeBytes(readBytes().also { it[1000] = (it[1000].toInt() xor 1).toByte() }) }
        refused<ChecksumMismatch>("model.tflite differs")
    }

    @Test
    fun `a truncated model`() {
        File(folder, "model.tflite").run { writeBytes(readBytes().copyOf(5000)) }
        refused<ChecksumMismatch>("model.tflite differs")
    }

    @Test
    fun `an unlisted file`() {
        File(folder, "extra.bin").writeText("x")
        refused<BundleInvalid>("extra.bin", "does not list")
    }

    @Test
    fun `unsigned where a key is trusted`() = refused<SignatureInvalid>("not signed") { Bundle.open(folder, "a key") }

    @Test
    fun `a model that is no tflite file although its checksum fits`() {
        File(folder, "model.tflite").writeBytes(ByteArray(5000) { 7 })
        reseal()
        refused<BundleInvalid>("no .tflite file") { ImageClassifier.fromBundle(folder) }
    }

    @Test
    fun `a model with another input size`() {
        manifest { it.replace(Regex("(\"inputs\": \\[\\s*\\{\\s*\"name\": \"image\",\\s*\"shape\": \\[\\s*1,\\s*3,\\s*)128"), "$1" + "64") }
        reseal()
        refused<BundleInvalid>("image", "needed") { ImageClassifier.fromBundle(folder) }
    }

    @Test
    fun `a bundle for another task`() = refused<BadInput>("Classification", "VoxelGrid") { DepthVoxelizer.fromBundle(folder) }

    @Test
    fun `a golden tensor of another size`() {
        val file = Bundle.open(folder).manifest.golden[0].tensors.first { it.tensor.name == "logits" }.file
        File(folder, file).writeBytes(ByteArray(8))
        reseal()
        refused<BundleInvalid>("does not fit its shape") { GoldenSelfTest.run(Bundle.open(folder)) }
    }

    companion object {
        @JvmStatic @BeforeClass fun libraries() = useLibraries()
    }
}

package org.onpar

import java.io.File
import java.lang.management.ManagementFactory
import java.util.concurrent.CountDownLatch
import kotlin.concurrent.thread
import kotlin.math.abs
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import org.json.JSONObject
import org.junit.Assume.assumeTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized
import org.junit.runners.Parameterized.Parameters

private val topologies = cases("topologies").map { it[1] as JSONObject }
private val topology = FaceTopology.parse(bytes(topologies[0].getString("content")))

private fun outputs(case: JSONObject): Tensors =
    case.getJSONArray("outputs").objects().associate { it.getString("name") to floats(it.getString("values")) }

private fun mesh(case: JSONObject, outputs: Tensors): FaceMesh {
    val manifest =
        Manifest(
            "vector", "", "", "", emptyList(), PreprocessSpec(16, 16), PostprocessSpec("FaceMesh", null), emptyList(), emptyList(),
            emptyList(), emptyList(), "",
        )
    return toFaceMesh(outputs, Context(manifest, region(case.getJSONArray("region")), 131, 97), topology)
}

@RunWith(Parameterized::class)
class FaceMeshVectorTest(name: String, private val case: JSONObject) {
    private val outputs = outputs(case)
    private val expected = case.getJSONObject("expected")

    private fun wanted(name: String): FloatArray = floats(expected.getString(name))

    @Test
    fun `equals Python`() {
        val face = mesh(case, outputs)
        assertTrue(difference(face.verticesPx, wanted("vertices_px")) <= 1e-4)
        assertTrue(difference(face.neutral, wanted("neutral")) == 0.0)
        assertTrue(difference(face.rotation, wanted("rotation")) <= 1e-6)
        assertTrue(difference(face.shape(), wanted("shape")) <= 1e-5)
        assertTrue(difference(face.landmarksPx(), wanted("landmarks_px")) <= 1e-4)
        assertEquals(expected.getDouble("scale_px"), face.scalePx.toDouble(), 1e-4)
        val center = expected.getJSONArray("center_px").doubles().map { it.toFloat() }.toFloatArray()
        assertTrue(difference(face.centerPx, center) <= 1e-4)
        assertTrue(difference(regionAround(face.landmarksPx()), region(expected.getJSONArray("next_region"))) <= 1e-3)
    }

    @Test
    fun `pose and expression equal Python's`() {
        val face = mesh(case, outputs)
        val (yaw, pitch, roll) = face.poseDegrees
        val angles = mapOf("yaw" to yaw, "pitch" to pitch, "roll" to roll)
        val measures =
            face.expression().run {
                mapOf(
                    "mouth_open" to mouthOpen, "mouth_wide" to mouthWide, "smile" to smile, "brow_raise" to browRaise,
                    "left_eye_closed" to leftEyeClosed, "right_eye_closed" to rightEyeClosed,
                )
            }
        for ((group, values) in mapOf("pose_degrees" to angles, "expression" to measures)) {
            val other = expected.getJSONObject(group)
            assertEquals(other.keys().asSequence().toSet<Any?>(), values.keys)
            for ((name, value) in values) assertEquals(other.getDouble(name), value, 1e-4, name)
        }
    }

    /** Without a difference the vectors could not tell such a fault. */
    @Test
    fun `exchanged outputs and axes are seen`() {
        val vertices = outputs.getValue("vertices")
        val turned = FloatArray(vertices.size) { vertices[it - it % 3 + intArrayOf(1, 0, 2)[it % 3]] }
        val pose = outputs.getValue("pose")
        val moved = FloatArray(7) { if (it < 4) pose[(it + 1) % 4] else pose[it] }
        val shifted = FloatArray(7) { pose[intArrayOf(0, 1, 2, 3, 4, 6, 5)[it]] }
        fun worst(changed: Map<String, FloatArray>): Double {
            val face = mesh(case, outputs + changed)
            return maxOf(difference(face.verticesPx, wanted("vertices_px")), difference(face.shape(), wanted("shape")))
        }
        assertTrue(worst(mapOf("vertices" to outputs.getValue("neutral"), "neutral" to vertices)) > 1)
        assertTrue(worst(mapOf("vertices" to turned)) > 1)
        if (case.getString("name") == "all at once") {
            assertTrue(worst(mapOf("pose" to moved)) > 0.1)
            assertTrue(worst(mapOf("pose" to shifted)) > 0.1)
        }
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("meshes")
    }
}

class FaceTopologyTest {
    @Test
    fun `triangles are those of the file`() {
        assertEquals(topologies[0].getJSONArray("triangles").doubles().map { it.toInt() }, topology.triangles.toList())
    }

    @Test
    fun `damaged files are refused`() {
        for (case in topologies.drop(1)) {
            val message = assertFailsWith<BundleInvalid>(case.getString("name")) { FaceTopology.parse(bytes(case.getString("content"))) }.message!!
            assertContains(message, "export the bundle again")
        }
    }

    @Test
    fun `other outputs than the topology's are refused`() {
        val case = cases("meshes")[0][1] as JSONObject
        for (name in listOf("vertices", "neutral", "pose")) {
            assertFailsWith<BundleInvalid>(name) { mesh(case, outputs(case).mapValues { (n, v) -> if (n == name) v.drop(3).toFloatArray() else v }) }
            assertFailsWith<BundleInvalid>(name) { mesh(case, outputs(case) - name) }
        }
    }

    @Test
    fun `an OBJ file holds the shape in metres and the triangles`() {
        val case = cases("meshes")[4][1] as JSONObject
        val lines = mesh(case, outputs(case)).toObj().trim().lines().map { it.split(" ") }
        val shape = floats(case.getJSONObject("expected").getString("shape"))
        val vertices = lines.filter { it[0] == "v" }.flatMap { it.drop(1) }.map { 10 * it.toFloat() }.toFloatArray()
        assertTrue(difference(vertices, shape) <= 1e-5)
        assertEquals(topology.triangles.map { it + 1 }, lines.filter { it[0] == "f" }.flatMap { it.drop(1) }.map(String::toInt))
    }
}

/** A keypoint bundle that says it gives meshes, with the vectors' topology: no weights of a model take part. */
private fun meshBundle(content: String = topologies[0].getString("content")): Bundle {
    val folder = FolderSource(bundleFolder("template_keypoints"))
    val document = JSONObject(String(folder.read("bundle.json")!!))
    document.getJSONObject("postprocess").put("result", "FaceMesh")
    val entry = JSONObject().put("path", "topology.safetensors").put("sha256", sha256(bytes(content))).put("bytes", bytes(content).size)
    document.getJSONArray("files").put(entry)
    val manifest = document.toString().toByteArray()
    val signature = """{"algorithm": "none", "sha256": "${sha256(manifest)}"}""".toByteArray()
    val files = mapOf("bundle.json" to manifest, "SIGNATURE" to signature, "topology.safetensors" to bytes(content))
    return Bundle.open(
        object : BundleSource by folder {
            override val name = "meshes"

            override fun read(path: String): ByteArray? = files[path] ?: folder.read(path)

            override fun paths(): List<String>? = null
        },
    )
}

/** Runners that answer by a script stand for the models. */
class FaceMeshPipelineTest {
    private val detector = Bundle.open(bundleFolder("face_detector"))
    private val face3d = meshBundle()
    private val count = topology.vertexCount
    private val picture = Picture(96, 72, ByteArray(3 * 96 * 72) { (it / 3 % 96 + it / 3 / 96).toByte() })
    private var loaded = 0
    private var closed = 0
    private var held: CountDownLatch? = null

    /** Landmarks in the middle half of the crop. */
    private val mesh = FloatArray(3 * count) { 0.25f + 0.5f * ((it * 37L) % 101) / 100f }

    private inner class Answering(bundle: Bundle) : Runner {
        private val outputs =
            if (bundle === detector) {
                mapOf("faces" to floatArrayOf(0.2f, 0.3f, 0.6f, 0.7f, 0.9f) + FloatArray(10) { 0.5f })
            } else {
                mapOf("vertices" to mesh, "neutral" to mesh.copyOf(), "pose" to floatArrayOf(1f, 0f, 0f, 0f, 0.4f, 0.5f, 0.5f))
            }
        override val backend = "script"

        override fun run(input: FloatArray): Tensors = outputs.also { held?.await() }

        override fun close() {
            closed++
        }
    }

    private fun open(fail: Int = -1, most: Int = 8): FaceMeshPipeline =
        FaceReconstructor.fromBundles(detector, face3d, {
            if (loaded == fail) throw BackendUnavailable("none")
            loaded++
            Answering(it)
        }, most)

    @Test
    fun `the second look is around the landmarks of the first`() {
        val pipeline = open()
        val detection = pipeline.detect(picture)
        pipeline.close()
        pipeline.close()
        val region = detection.value.single().region
        // The box in the 96 x 72 picture: 1.4 of its longer side, then 1.6 of the landmarks' box, half as long.
        assertTrue(abs(region.width - 1.4 * 0.4 * 96 * 0.5 * 1.6) < 4, "$region")
        assertTrue(abs(region.left + region.width / 2 - 0.4 * 96) < 3 && abs(region.top + region.height / 2 - 0.5 * 72) < 3, "$region")
        assertTrue(detection.timings.run { preMs > 0 && inferenceMs >= 0 && postMs >= 0 })
        assertEquals("script" to 2, detection.backend to closed)
        assertContains(assertFailsWith<BadInput> { pipeline.detect(picture) }.message!!, "closed")
    }

    @Test
    fun `late frames and frames that come while another is worked on are dropped`() {
        open().use { pipeline ->
            val found = listOf(10L, 30L, 30L, 20L, 40L).map { pipeline.detectForVideo(picture, it)?.value?.size }
            assertEquals(listOf(1, 1, null, null, 1), found)
            val release = CountDownLatch(1).also { held = it }
            val worker = thread { pipeline.detectForVideo(picture, 50) }
            while (worker.state != Thread.State.WAITING) Thread.sleep(1)
            assertNull(pipeline.detectForVideo(picture, 60))
            release.countDown()
            worker.join()
        }
    }

    @Test
    fun `landmarks that are no numbers are no face`() {
        mesh.fill(Float.NaN)
        open().use { assertEquals(0, it.detect(picture).value.size) }
    }

    @Test
    fun `bundles in another order, and no faces at all, are refused before anything is loaded`() {
        assertContains(assertFailsWith<BadInput> { FaceReconstructor.fromBundles(face3d, detector, { Answering(it) }) }.message!!, "gives FaceMesh")
        assertFailsWith<BadInput> { open(most = 0) }
        assertEquals(0, loaded)
    }

    @Test
    fun `what was loaded is closed where another fails`() {
        assertFailsWith<BackendUnavailable> { open(fail = 1) }
        assertEquals(1 to 1, loaded to closed)
    }

    @Test
    fun `a frame allocates its result alone`() {
        val threads = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean
        FaceReconstructor.fromBundle(face3d) { Answering(it) }.use { reconstructor ->
            for (i in 1L..40L) reconstructor.detectForVideo(picture, i)
            val before = threads.getThreadAllocatedBytes(Thread.currentThread().id)
            for (i in 41L..60L) assertNotNull(reconstructor.detectForVideo(picture, i))
            val each = (threads.getThreadAllocatedBytes(Thread.currentThread().id) - before) / 20
            assertTrue(each < 2 * 12 * count + 2048, "$each bytes a frame; the result has ${2 * 12 * count}")
        }
    }

    @Test
    fun `a damaged topology is refused, and nothing stays loaded`() {
        val damaged = meshBundle(topologies[1].getString("content"))
        assertFailsWith<BundleInvalid> { FaceReconstructor.fromBundles(detector, damaged, { Answering(it) }) }
        assertFailsWith<BundleInvalid> { FaceReconstructor.fromBundle(damaged) { Answering(it).also { loaded++ } } }
        assertEquals(loaded, closed)
    }

    @Test
    fun `the real models give Python's meshes, and the example of the documentation`() {
        // Its bundle is not among those of every run.
        assumeTrue(BUNDLES.list()!!.any { it.startsWith("face3d-") })
        useLibraries()
        val expected = JSONObject(File(BUNDLES, "results.json").readText()).getJSONArray("face_meshes-android").objects()
        val photos = detector.manifest.golden.map { Png.picture(detector.file(it.raw)) }
        FaceReconstructor.fromBundles(bundleFolder("face_detector"), bundleFolder("face3d")).use { pipeline ->
            for ((photo, wanted) in photos.zip(expected)) {
                val faces = wanted.getJSONArray("faces").strings().map { floats(it) }
                val found = pipeline.detect(photo).value
                assertTrue(faces.isNotEmpty() && faces.size == found.size)
                for ((face, other) in found.zip(faces)) assertTrue(difference(face.verticesPx, other) <= 0.05)
            }
        }
        val told = reconstructFaces(bundleFolder("face_detector"), bundleFolder("face3d"), photos[0])
        assertContains(told.first(), "2500 vertices, turned by ")
    }
}

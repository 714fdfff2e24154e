package org.onpar

import java.io.File
import java.lang.management.ManagementFactory
import java.util.concurrent.CountDownLatch
import kotlin.concurrent.thread
import kotlin.math.abs
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNull
import kotlin.test.assertTrue
import org.json.JSONArray
import org.json.JSONObject
import org.junit.BeforeClass
import org.junit.Test

/** The bundles say what the networks look like; runners that answer by a script stand for the models. */
class FaceKeypointPipelineTest {
    private val detector = Bundle.open(bundleFolder("face_detector"))
    private val keypoints = Bundle.open(bundleFolder("template_keypoints"))
    private val picture = Picture(96, 72, ByteArray(3 * 96 * 72) { (it / 3 % 96 + it / 3 / 96).toByte() })
    private var loaded = 0
    private var closed = 0
    private var held: CountDownLatch? = null

    private inner class Answering(bundle: Bundle) : Runner {
        private val still = Script.answer(JSONArray("[1, 0, 0, 0, 0.05]"))
        private val outputs =
            if (bundle === detector) {
                mapOf("faces" to floatArrayOf(0.2f, 0.3f, 0.6f, 0.7f, 0.9f) + FloatArray(10) { 0.5f })
            } else {
                mapOf("keypoints" to still.points, "template_keypoints" to still.template)
            }
        override val backend = "script"

        override fun run(input: FloatArray): Tensors = outputs.also { held?.await() }

        override fun close() {
            closed++
        }
    }

    private fun open(refined: Bundle? = keypoints, fail: Int = -1): FaceKeypointPipeline =
        FaceKeypointDetector.fromBundles(detector, keypoints, refined, {
            if (loaded == fail) throw BackendUnavailable("none")
            loaded++
            Answering(it)
        })

    @Test
    fun `all faces, with timings, and closed for good`() {
        val pipeline = open()
        val detection = pipeline.detect(picture)
        pipeline.close()
        pipeline.close()
        val square = detection.value.single().square
        // The box in the 96 x 72 picture, 1.4 of its longer side, from outer corners to centres of pixels.
        val differences = listOf(square.x - 0.4 * 96 + 0.5, square.y - 0.5 * 72 + 0.5, square.side - 1.4 * 0.4 * 96)
        assertTrue(differences.all { abs(it) < 1e-3 }, "$differences")
        assertTrue(detection.timings.run { preMs > 0 && inferenceMs >= 0 && postMs >= 0 })
        assertEquals("script" to 3, detection.backend to closed)
        assertContains(assertFailsWith<BadInput> { pipeline.detect(picture) }.message!!, "closed")
    }

    @Test
    fun `late frames are dropped, reset begins anew`() {
        open(refined = null).use { pipeline ->
            val found = listOf(10L, 30L, 30L, 20L, 40L).map { pipeline.detectForVideo(picture, it)?.value?.map(DetectedFace::tracked) }
            assertEquals(listOf(listOf(false), listOf(true), null, null, listOf(true)), found)
            assertEquals(1, pipeline.detectorRuns)
            pipeline.reset()
            assertEquals(listOf(false), pipeline.detectForVideo(picture, 5)?.value?.map(DetectedFace::tracked))
        }
    }

    @Test
    fun `a frame that comes while another is worked on is dropped`() {
        open().use { pipeline ->
            val release = CountDownLatch(1).also { held = it }
            val worker = thread { pipeline.detectForVideo(picture, 10) }
            while (worker.state != Thread.State.WAITING) Thread.sleep(1)
            assertNull(pipeline.detectForVideo(picture, 20))
            release.countDown()
            worker.join()
        }
    }

    @Test
    fun `bundles in another order are refused before anything is loaded`() {
        val message = assertFailsWith<BadInput> { FaceKeypointDetector.fromBundles(keypoints, detector, null, { Answering(it) }) }.message!!
        assertContains(message, "gives Keypoints")
        assertContains(assertFailsWith<BadInput> { FaceKeypointDetector.fromBundles(detector, Bundle.open(bundleFolder("classifier"))) }.message!!, "Keypoints")
        val judge = { FaceKeypointDetector.fromBundles(detector, keypoints, detectorRefined = Bundle.open(bundleFolder("classifier"))) }
        assertContains(assertFailsWith<BadInput> { judge() }.message!!, "does not tell face from background")
        assertEquals(0, loaded)
    }

    @Test
    fun `what was loaded is closed where another fails`() {
        assertFailsWith<BackendUnavailable> { open(fail = 2) }
        assertEquals(2 to 2, loaded to closed)
    }

    @Test
    fun `the real models give Python's faces`() {
        compare("face_pipeline-android", null)
    }

    @Test
    fun `the real models give Python's faces, refined`() = compare("face_pipeline_refined-android", bundleFolder("template_keypoints_refined"))

    @Test
    fun `the real models give Python's faces, judged`() =
        compare("face_pipeline_judged-android", null, bundleFolder("face_detector_refined"))

    @Test
    fun `the real models give Python's boxes, judged`() {
        val expected = JSONObject(File(BUNDLES, "results.json").readText()).getJSONArray("face_boxes_judged-android").objects()
        FaceDetector.fromBundles(bundleFolder("face_detector"), bundleFolder("face_detector_refined")).use { pipeline ->
            for ((i, pair) in detector.manifest.golden.zip(expected).withIndex()) {
                val (golden, wanted) = pair
                val photo = Png.picture(detector.file(golden.raw))
                val rows = wanted.getJSONArray("faces").strings().map { floats(it) }
                val scores = wanted.getJSONArray("scores").doubles()
                for (found in listOf(pipeline.detect(photo), pipeline.detectForVideo(photo, i.toLong())!!)) {
                    assertTrue(rows.isNotEmpty() && rows.size == found.value.faces.size)
                    for ((n, face) in found.value.faces.withIndex()) {
                        val box = FloatArray(4) { face.boxPx[it].toFloat() }
                        assertTrue(difference(box + face.pointsPx, rows[n]) <= 0.05 && abs(face.score - scores[n]) <= 0.002)
                    }
                }
                assertNull(pipeline.detectForVideo(photo, i.toLong()))
            }
        }
    }

    @Test
    fun `a detector's second network is asked for by name`() {
        val message = assertFailsWith<BadInput> { FaceDetector.fromBundles(detector, keypoints, { Answering(it) }) }.message!!
        assertContains(message, "does not tell face from background")
        assertContains(assertFailsWith<BadInput> { FaceDetector.fromBundles(keypoints, detector, { Answering(it) }) }.message!!, "gives Keypoints")
    }

    private fun compare(name: String, refined: File?, judge: File? = null) {
        val expected = JSONObject(File(BUNDLES, "results.json").readText()).getJSONArray(name).objects()
        FaceKeypointDetector.fromBundles(bundleFolder("face_detector"), bundleFolder("template_keypoints"), refined, judge).use { pipeline ->
            for ((golden, wanted) in detector.manifest.golden.zip(expected)) {
                val photo = Png.picture(detector.file(golden.raw))
                pipeline.reset()
                val points = wanted.getJSONArray("faces").strings().map { floats(it) }
                for (found in listOf(pipeline.detect(photo), pipeline.detectForVideo(photo, 1)!!)) {
                    assertTrue(points.isNotEmpty() && points.size == found.value.size)
                    for ((face, other) in found.value.zip(points)) assertTrue(difference(face.pointsPx, other) <= 0.05)
                }
            }
        }
    }

    @Test
    fun `the example of the documentation`() {
        val photo = Png.picture(detector.file(detector.manifest.golden[0].raw))
        val told = findFaces(bundleFolder("face_detector"), bundleFolder("template_keypoints"), listOf(photo, photo))
        assertEquals("68 points, followed: false" to "68 points, followed: true", told.first() to told.last())
    }

    @Test
    fun `following a face allocates no more than the result`() {
        val threads = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean
        open().use { pipeline ->
            for (i in 1L..40L) pipeline.detectForVideo(picture, i)
            val before = threads.getThreadAllocatedBytes(Thread.currentThread().id)
            for (i in 41L..58L) assertEquals(1, pipeline.detectForVideo(picture, i)!!.value.size)
            val each = (threads.getThreadAllocatedBytes(Thread.currentThread().id) - before) / 18
            assertTrue(each < 6000, "$each bytes a frame") // two times 68 points and the thumbnail are 2.1 kB
        }
    }

    companion object {
        @JvmStatic @BeforeClass fun libraries() = useLibraries()
    }
}

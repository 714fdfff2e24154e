package org.onpar

import java.io.File
import java.util.concurrent.Callable
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executors
import kotlin.math.abs
import kotlin.math.hypot
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import org.json.JSONObject
import org.junit.BeforeClass
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized
import org.junit.runners.Parameterized.Parameters

/** Real models through LiteRT's C API; `-Donpar.jni` and `-Donpar.litert` say where the libraries are. */
fun useLibraries() =
    LiteRtRunner.useLibraries(File(System.getProperty("onpar.jni")).absolutePath, File(System.getProperty("onpar.litert")).absolutePath)

private fun bundles(): List<Array<Any>> =
    BUNDLES.listFiles()!!.filter { it.isDirectory }.map { it.name.substringBefore('-') }.distinct().sorted()
        .map { bundleFolder(it) }.map { arrayOf(it.name, it) }

@RunWith(Parameterized::class)
class GoldenProofTest(private val name: String, private val folder: File) {
    @Test
    fun `passes its own limits`() {
        val report = GoldenSelfTest.run(Bundle.open(folder))
        assertTrue(report.passed, report.checks.joinToString { "${it.name} ${it.value} limit ${it.limit}" })
        val proved = report.checks.map { it.name.substringBefore(':') }.toSet()
        val manifest = Bundle.open(folder).manifest
        assertEquals((if (manifest.takesPicture) setOf("preprocessing") else emptySet()) + manifest.outputs.map { it.name }, proved)
    }

    @Test
    fun `gives Python's results`() {
        val bundle = Bundle.open(folder)
        val expected = JSONObject(File(BUNDLES, "results.json").readText()).getJSONArray(name).objects()
        assertEquals(bundle.manifest.golden.size, expected.size)
        for ((case, wanted) in bundle.manifest.golden.zip(expected)) {
            if (bundle.manifest.takesPicture) check(bundle, bundle.file(case.raw), wanted) else checkTensors(bundle, case, wanted)
        }
    }

    private fun checkTensors(bundle: Bundle, case: GoldenCase, wanted: JSONObject) {
        TensorModel.fromBundle(bundle).use { model ->
            val found = model.run(GoldenSelfTest.inputs(bundle, case)).value
            assertEquals(model.outputs.map { it.name }.toSet(), found.keys)
            for (tensor in model.outputs) {
                val expected = valuesOf(bytes(wanted.getJSONObject("tensors").getString(tensor.name)), tensor.dtype)
                val values = found.getValue(tensor.name)
                assertEquals(expected::class, values::class)
                assertEquals(tensor.size, countOf(values))
                for (i in 0 until tensor.size) assertEquals(numberAt(expected, i), numberAt(values, i), 1e-5)
            }
        }
    }

    private fun check(bundle: Bundle, raw: ByteArray, wanted: JSONObject) {
        when (bundle.manifest.postprocess.result) {
            "Classification" ->
                ImageClassifier.fromBundle(bundle).use { detector ->
                    val found = detector.detect(Png.picture(raw)).value
                    assertEquals(wanted.getString("label"), found.label)
                    // Rounding to 8 bits makes more of a small difference: there the class alone must be the same.
                    val limit = if (bundle.artifact("litert")!!.precision in setOf("w8a8", "dynamic_w8")) 0.02 else 1e-4
                    for ((label, score) in found.scores) assertTrue(abs(wanted.getJSONObject("scores").getDouble(label) - score) <= limit)
                }
            "Keypoints" ->
                FaceKeypointDetector.fromBundle(bundle).use { detector ->
                    val found = detector.detect(Png.picture(raw)).value.pointsPx
                    val points = wanted.getJSONArray("points_px")
                    for (i in 0 until points.length()) {
                        val (x, y) = points.getJSONArray(i).doubles()
                        assertTrue(hypot(x - found[2 * i], y - found[2 * i + 1]) <= 0.05)
                    }
                }
            "FaceBoxes" ->
                FaceDetector.fromBundle(bundle).use { detector ->
                    val faces = detector.detect(Png.picture(raw)).value.faces
                    val expected = wanted.getJSONArray("faces").objects()
                    assertEquals(expected.size, faces.size)
                    for ((face, other) in faces.zip(expected)) {
                        val box = other.getJSONArray("box_px").doubles()
                        for (i in 0 until 4) assertTrue(abs(box[i] - face.boxPx[i]) <= 0.05)
                        assertTrue(abs(other.getDouble("score") - face.score) <= 1e-3)
                    }
                }
            "VoxelGrid" ->
                DepthVoxelizer.fromBundle(bundle).use { detector ->
                    val filled = detector.detect(Png.depthMap(raw)).value.filledVoxels
                    assertTrue(abs(filled - wanted.getInt("filled_voxels")) <= 0.001 * filled)
                }
            "Mask" ->
                SaliencySegmenter.fromBundle(bundle).use { detector ->
                    val found = detector.detect(Png.picture(raw)).value
                    val bits = bytes(wanted.getString("filled_bits"))
                    val expected = FloatArray(found.values.size) { ((bits[it / 8].toInt() shr (it % 8)) and 1).toFloat() }
                    val filled = FloatArray(found.values.size) { if (found.values[it] >= found.threshold) 1f else 0f }
                    assertTrue(Metric.MASK_IOU.compute(doubles(filled), doubles(expected), emptyList()) >= 0.999)
                }
            "Detections" ->
                ObjectDetector.fromBundle(bundle).use { detector ->
                    val objects = detector.detect(Png.picture(raw)).value.objects
                    val expected = wanted.getJSONArray("objects").objects()
                    assertEquals(expected.map { it.getString("label") }, objects.map { it.label })
                    assertTrue(objects.isNotEmpty())
                    for ((found, other) in objects.zip(expected)) {
                        val box = other.getJSONArray("box_px").doubles()
                        for (i in 0 until 4) assertTrue(abs(box[i] - found.boxPx[i]) <= 0.05)
                        assertTrue(abs(other.getDouble("score") - found.score) <= 1e-3)
                    }
                }
            "Segmentation" ->
                ImageSegmenter.fromBundle(bundle).use { detector ->
                    val picture = Png.picture(raw)
                    val found = detector.detect(picture).value.inPicture(picture.width, picture.height)
                    val expected = ints(wanted.getString("classes"))
                    assertTrue(found.indices.count { found[it] == expected[it] } >= 0.999 * expected.size)
                }
            "Depth" ->
                DepthEstimator.fromBundle(bundle).use { detector ->
                    val picture = Png.picture(raw)
                    val found = detector.detect(picture).value.inPicture(picture.width, picture.height)
                    val expected = floats(wanted.getString("depth"))
                    assertEquals(expected.size, found.size)
                    for (i in found.indices) assertTrue(if (expected[i].isNaN()) found[i].isNaN() else abs(found[i] / expected[i] - 1) < 1e-3)
                }
            "Points" ->
                KeypointDetector.fromBundle(bundle).use { detector ->
                    val found = detector.detect(Png.picture(raw)).value.pointsPx
                    val expected = wanted.getJSONArray("points_px")
                    assertEquals(2 * expected.length(), found.size)
                    for (i in 0 until expected.length()) {
                        val (x, y) = expected.getJSONArray(i).doubles()
                        assertTrue(hypot(x - found[2 * i], y - found[2 * i + 1]) <= 0.05)
                    }
                }
            "Embedding" ->
                ImageEmbedder.fromBundle(bundle).use { detector ->
                    val found = detector.detect(Png.picture(raw)).value.vector
                    val expected = wanted.getJSONArray("vector").doubles()
                    assertEquals(expected.size, found.size)
                    for (i in found.indices) assertEquals(expected[i], found[i].toDouble(), 1e-4)
                }
            "NewPicture" ->
                ImageToImage.fromBundle(bundle).use { detector ->
                    val found = detector.detect(Png.picture(raw)).value.rgb
                    val expected = bytes(wanted.getString("rgb"))
                    assertEquals(expected.size, found.size)
                    // Rounding to whole values makes one of a difference of 1e-5.
                    for (i in found.indices) assertTrue(abs((found[i].toInt() and 255) - (expected[i].toInt() and 255)) <= 1)
                }
            "FaceMesh" ->
                FaceReconstructor.fromBundle(bundle).use { detector ->
                    val found = detector.detect(Png.picture(raw)).value
                    assertTrue(difference(found.verticesPx, floats(wanted.getString("vertices_px"))) <= 0.05)
                    assertTrue(difference(found.neutral, floats(wanted.getString("neutral"))) <= 1e-4)
                    assertEquals(wanted.getDouble("yaw"), found.poseDegrees.yaw, 0.01)
                }
            else -> error("no comparison for this result")
        }
    }

    companion object {
        @JvmStatic @BeforeClass fun libraries() = useLibraries()

        @JvmStatic @Parameters(name = "{0}") fun cases() = bundles()
    }
}

/** What a fault in the app would do to the model's input; each must turn the self-test red. */
@RunWith(Parameterized::class)
class FaultTest(name: String, private val spoil: (FloatArray, Int) -> Unit) {
    @Test
    fun `turns the self-test red`() {
        val bundle = Bundle.open(bundleFolder("classifier"))
        val real = LiteRtRunner.load(bundle)
        val spoiled =
            object : Runner by real {
                override fun runTensors(inputs: NamedValues): NamedValues =
                    real.runTensors(inputs.mapValues { (it.value as FloatArray).copyOf().also { t -> spoil(t, bundle.manifest.preprocess.width) } })
            }
        assertFalse(GoldenSelfTest.run(bundle, { spoiled }).passed)
    }

    companion object {
        @JvmStatic @BeforeClass fun libraries() = useLibraries()

        private fun fault(name: String, spoil: (FloatArray, Int) -> Unit): Array<Any> = arrayOf(name, spoil)

        @JvmStatic
        @Parameters(name = "{0}")
        fun cases(): List<Array<Any>> =
            listOf(
                fault("a swapped channel") { t, width ->
                    val n = width * width
                    for (i in 0 until n) t[i] = t[2 * n + i].also { t[2 * n + i] = t[i] }
                },
                fault("a shift by half a pixel") { t, width -> for (i in 0 until t.size - 1) if (i % width != width - 1) t[i] = (t[i] + t[i + 1]) / 2 },
                fault("a mean taken off outside the model") { t, _ -> for (i in t.indices) t[i] -= 0.45f },
            )
    }
}

class LifeTest {
    private val bundle = Bundle.open(bundleFolder("classifier"))
    private val picture = Png.picture(bundle.file(bundle.manifest.golden[0].raw))

    @Test
    fun `calls from several threads give the same`() {
        ImageClassifier.fromBundle(bundle).use { detector ->
            val expected = detector.detect(picture).value.score
            val pool = Executors.newFixedThreadPool(4)
            val scores = pool.invokeAll(List(24) { Callable { detector.detect(picture).value.score } }).map { it.get() }
            pool.shutdown()
            assertEquals(setOf(expected), scores.toSet())
        }
    }

    @Test
    fun `closing while running waits, later calls are refused`() {
        val started = CountDownLatch(1)
        val real = LiteRtRunner.load(bundle)
        val slow =
            object : Runner by real {
                override fun run(input: FloatArray): Tensors {
                    started.countDown()
                    return real.run(input)
                }
            }
        val detector = ImageClassifier.fromBundle(bundle) { slow }
        val pool = Executors.newSingleThreadExecutor()
        val running = pool.submit(Callable { detector.detect(picture) })
        started.await()
        detector.close()
        detector.close()
        assertTrue(running.get().value.score > 0)
        pool.shutdown()
        assertContains(assertFailsWith<BadInput> { detector.detect(picture) }.message!!, "closed")
        assertContains(assertFailsWith<BadInput> { real.run(FloatArray(3)) }.message!!, "closed")
    }

    @Test
    fun `video mode drops stale and overlapping frames`() {
        val entered = CountDownLatch(1)
        val release = CountDownLatch(1)
        val real = LiteRtRunner.load(bundle)
        val held =
            object : Runner by real {
                override fun run(input: FloatArray): Tensors {
                    entered.countDown()
                    release.await()
                    return real.run(input)
                }
            }
        ImageClassifier.fromBundle(bundle) { held }.use { detector ->
            val pool = Executors.newSingleThreadExecutor()
            val first = pool.submit(Callable { detector.detectForVideo(picture, 10) })
            entered.await()
            assertNull(detector.detectForVideo(picture, 20))
            release.countDown()
            assertNotNull(first.get())
            assertNull(detector.detectForVideo(picture, 10))
            assertNotNull(detector.detectForVideo(picture, 30))
            pool.shutdown()
        }
    }

    @Test
    fun `a bad box does not break the detector`() {
        ImageClassifier.fromBundle(bundle).use { detector ->
            assertFailsWith<BadInput> { detector.detect(picture, Box(9.0, 9.0, 9.0, 9.0)) }
            assertTrue(detector.detect(picture).value.score > 0)
        }
    }

    @Test
    fun `ten thousand times open and close do not grow`() {
        repeat(200) { LiteRtRunner.load(bundle).close() }
        val before = residentKilobytes()
        repeat(10_000) { LiteRtRunner.load(bundle).close() }
        val growth = residentKilobytes() - before
        assertTrue(growth < 30_000, "grew by $growth kB in 10,000 cycles")
    }

    private fun residentKilobytes(): Long =
        File("/proc/self/status").readLines().first { it.startsWith("VmRSS") }.filter { it.isDigit() }.toLong()

    @Test
    fun `a class of a picture in six lines`() {
        val file = File(bundleFolder("classifier"), bundle.manifest.golden[0].raw)
        assertContains(classify(bundleFolder("classifier"), file.readBytes()), "%")
    }

    companion object {
        @JvmStatic @BeforeClass fun libraries() = useLibraries()
    }
}

class BenchmarkRecordTest {
    private val here = Device("this PC", "host", "Linux")
    private val bundle = Bundle.open(bundleFolder("classifier"))

    @Test
    fun `is a record of schema version 2`() {
        var told = 0
        val record = BenchmarkRecord.measure(bundle, 7, here, "2.3.0") { told = it }
        val fields = JSONObject(record.toJson())
        assertEquals(RECORD_KEYS.split(" ").toSet(), fields.keys().asSequence().map { it.toString() }.toSet())
        assertEquals(setOf("name", "kind", "os", "arch", "cores"), fields.getJSONObject("device").keys().asSequence().map { it.toString() }.toSet())
        assertEquals(sha256(File(bundleFolder("classifier"), "bundle.json").readBytes()), fields.getString("bundle_sha256"))
        assertEquals(7, told)
        assertTrue(fields.getJSONArray("samples_ms").doubles().let { it.size == 7 && it.all { ms -> ms > 0 } })
        assertTrue(record.quantile(0.9) >= record.quantile(0.5))
    }

    @Test
    fun `goes on without a pause`() {
        val record = BenchmarkRecord.measure(bundle, 1, here, "2.3.0", sustainedSeconds = 0.05, thermal = { "fair" })
        val fields = JSONObject(record.toJson())
        val sustained = fields.getJSONObject("sustained")
        assertEquals(0.05, sustained.getDouble("seconds"))
        assertTrue(sustained.getInt("calls") >= 1)
        assertTrue(sustained.getDouble("first_p50_ms") > 0 && sustained.getDouble("last_p50_ms") > 0)
        assertEquals("fair", fields.getString("thermal"))
        assertEquals(1, record.samplesMs.size)
    }

    @Test
    fun `quantiles are numpy's`() {
        val record = BenchmarkRecord(bundle, bundle.manifest.modelFiles[0], "", here, listOf(4.0, 1.0, 3.0, 2.0), emptyList(), 0.0, 0.0)
        assertEquals(listOf(1.0, 2.5, 3.7, 4.0), listOf(0.0, 0.5, 0.9, 1.0).map { Math.round(record.quantile(it) * 1e9) / 1e9 })
    }

    @Test
    fun `no rounds`() {
        assertFailsWith<BadInput> { BenchmarkRecord.measure(bundle, 0, here, "2.3.0") }
    }

    companion object {
        private const val RECORD_KEYS =
            "bundle bundle_sha256 model runtime runtime_version precision delegate threads device thermal warm_up " +
                "samples_ms load_samples_ms peak_mb model_mb peers sustained schema_version"

        @JvmStatic @BeforeClass fun libraries() = useLibraries()
    }
}

package org.onpar

import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import org.junit.BeforeClass
import org.junit.Test

/** Networks with several inputs, through LiteRT's C API. Their results are compared in GoldenProofTest. */
class TensorModelTest {
    private val twin = Bundle.open(bundleFolder("foreign_twin"))
    private val features = FloatArray(16)
    private val words = longArrayOf(5)

    private fun refused(inputs: NamedValues): String =
        TensorModel.fromBundle(twin).use { model -> assertFailsWith<BadInput> { model.run(inputs) }.message!! }

    @Test
    fun `says what it takes and gives`() {
        fun told(tensors: List<TensorEntry>) = tensors.map { "${it.name} ${it.dtype.text} ${it.shape}" }
        TensorModel.fromBundle(bundleFolder("foreign_twin")).use { model ->
            assertEquals(listOf("features float32 [1, 16]", "words int64 [1, 1]"), told(model.inputs))
            assertEquals(setOf("best int64 [1]", "scores float32 [1, 4]"), told(model.outputs).toSet())
        }
    }

    @Test
    fun `answers are the caller's own`() {
        TensorModel.fromBundle(twin).use { model ->
            val (first, second) = twin.manifest.golden.map { model.run(GoldenSelfTest.inputs(twin, it)) }
            assertTrue(difference(first.value.getValue("scores") as FloatArray, second.value.getValue("scores") as FloatArray) > 1e-3)
            assertTrue(first.timings.inferenceMs > 0)
            assertEquals("LiteRT CPU", first.backend)
        }
    }

    @Test
    fun `inputs that do not fit are refused`() {
        assertContains(refused(mapOf("features" to features)), "input 'words' is missing; needed: a LongArray of 1 values, int64 [1, 1]")
        assertContains(refused(mapOf("features" to features, "words" to words, "more" to features)), "'more'; allowed: features, words")
        assertContains(refused(mapOf("features" to features, "words" to intArrayOf(5))), "a IntArray of 1 values; needed: a LongArray")
        assertContains(refused(mapOf("features" to FloatArray(15), "words" to words)), "of 15 values; needed: a FloatArray of 16")
        assertContains(refused(mapOf("features" to features, "words" to longArrayOf(1L shl 40))), "1099511627776; the artifact takes 32 bits")
    }

    @Test
    fun `every type goes in and comes out`() {
        val bundle = Bundle.open(bundleFolder("foreign_types"))
        val types = mapOf("half" to DType.FLOAT16, "whole" to DType.INT32, "byte" to DType.UINT8, "flag" to DType.BOOL)
        TensorModel.fromBundle(bundle).use { model ->
            assertEquals(types, model.inputs.associate { it.name to it.dtype })
            val found =
                model.run(
                    mapOf(
                        "half" to floatArrayOf(0.5f, 1f, 1.5f, 2f, 2.5f, -3f), "whole" to intArrayOf(1, 2, 3, -4, 5, 6),
                        "byte" to byteArrayOf(-56, 2, 3, 4, 5, 6), "flag" to booleanArrayOf(true, false, true, false, true, false),
                    ),
                ).value
            assertEquals(listOf(201.5f, 3f, 7.5f, -2f, 12.5f, 3f), (found.getValue("half_out") as FloatArray).toList())
            assertEquals(listOf(3, 6, 9, -12, 15, 18), (found.getValue("whole_out") as IntArray).toList())
            assertEquals(listOf<Byte>(100, 1, 1, 2, 2, 3), (found.getValue("byte_out") as ByteArray).toList())
            assertEquals(listOf(true, false, true, false, true, false), (found.getValue("flag_out") as BooleanArray).toList())
        }
    }

    @Test
    fun `a picture counts as a tensor`() {
        val bundle = Bundle.open(bundleFolder("classifier"))
        TensorModel.fromBundle(bundle).use { model ->
            val found = model.run(mapOf("image" to FloatArray(model.inputs[0].size))).value
            assertTrue((found.getValue(model.outputs[0].name) as FloatArray).all { it.isFinite() })
        }
    }

    @Test
    fun `closed for good, and no task's`() {
        val model = TensorModel.fromBundle(twin)
        model.close()
        model.close()
        assertContains(assertFailsWith<BadInput> { model.run(mapOf("features" to features, "words" to words)) }.message!!, "closed")
        assertContains(assertFailsWith<BadInput> { ImageClassifier.fromBundle(twin) }.message!!, "gives RawTensors; this class needs")
        assertContains(assertFailsWith<BadInput> { twin.manifest.preprocess }.message!!, "TensorModel")
        LiteRtRunner.load(twin).use { runner -> assertContains(assertFailsWith<BadInput> { runner.run(features) }.message!!, "open it with TensorModel") }
    }

    @Test
    fun `an artifact of other types is refused by runners for floats`() {
        assertContains(assertFailsWith<BackendUnavailable> { demandFloats(twin.artifact("litert")!!, "ExecuTorch") }.message!!, "'words' int32")
        demandFloats(Bundle.open(bundleFolder("classifier")).artifact("litert")!!, "ExecuTorch")
    }

    @Test
    fun `the examples of the documentation`() {
        assertEquals("[features float32, words int64] give 4 scores", runTensors(bundleFolder("foreign_twin"), features))
        val detector = Bundle.open(bundleFolder("foreign_detector"))
        val told = findObjects(bundleFolder("foreign_detector"), Png.picture(detector.file(detector.manifest.golden[0].raw)))
        assertTrue(Regex("""\d \d+ %, from x -?\d+ to -?\d+""").matches(told.first()), told.first())
    }

    @Test
    fun `it is timed like the others`() {
        assertEquals(3, BenchmarkRecord.measure(twin, 3, Device("this PC", "host", "Linux"), "2.3.0").samplesMs.size)
    }

    companion object {
        @JvmStatic @BeforeClass fun libraries() = useLibraries()
    }
}

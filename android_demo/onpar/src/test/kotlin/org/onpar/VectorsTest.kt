package org.onpar

import kotlin.math.abs
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import org.json.JSONObject
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized
import org.junit.runners.Parameterized.Parameters

private const val LIMIT = 5e-5

@RunWith(Parameterized::class)
class PictureVectorTest(name: String, private val case: JSONObject) {
    @Test
    fun `equals Python`() {
        val preprocessor = PicturePreprocessor(spec(case.getJSONObject("preprocess")))
        val region = preprocessor.run(picture(case), box(case))
        assertTrue(difference(preprocessor.tensor, floats(case.getString("tensor"))) <= LIMIT)
        assertTrue(difference(region, region(case.getJSONArray("region"))) <= 1e-9)
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("pictures")
    }
}

@RunWith(Parameterized::class)
class FrameVectorTest(name: String, private val case: JSONObject) {
    @Test
    fun `equals Python`() {
        val stored = frame(case, orientation = 1)
        val rgb = bytes(case.getString("rgb"))
        val row = FloatArray(3 * stored.width)
        for (y in 0 until stored.height) {
            stored.readRow(y, 0, stored.width, row, 0)
            for (i in row.indices) {
                val (channel, x) = i / stored.width to i % stored.width
                assertEquals(rgb[(y * stored.width + x) * 3 + channel].toInt() and 255, row[i].toInt())
            }
        }
        val preprocessor = PicturePreprocessor(spec(case.getJSONObject("preprocess")))
        preprocessor.run(frame(case))
        assertTrue(difference(preprocessor.tensor, floats(case.getString("tensor"))) <= LIMIT)
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("frames")
    }
}

@RunWith(Parameterized::class)
class DepthVectorTest(name: String, private val case: JSONObject) {
    @Test
    fun `equals Python`() {
        val preprocessor = DepthPreprocessor(spec(case.getJSONObject("preprocess")))
        val region = preprocessor.run(depth(case), box(case))
        assertTrue(difference(preprocessor.tensor, floats(case.getString("tensor"))) <= 1e-6)
        assertTrue(difference(region, region(case.getJSONArray("region"))) <= 1e-9)
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("depths")
    }
}

@RunWith(Parameterized::class)
class BadInputVectorTest(name: String, private val use: () -> Unit) {
    @Test
    fun `is refused`() {
        val message = assertFailsWith<BadInput> { use() }.message!!
        assertTrue(message.isNotEmpty() && '\n' !in message)
    }

    companion object {
        private fun of(group: String, use: (JSONObject) -> Unit): List<Array<Any>> =
            cases(group).map { (name, case) -> arrayOf("$group: $name", { use(case as JSONObject) }) }

        @JvmStatic
        @Parameters(name = "{0}")
        fun cases(): List<Array<Any>> =
            of("bad_pictures") { PicturePreprocessor(spec(it.getJSONObject("preprocess"))).run(picture(it), box(it)) } +
                of("bad_frames") { frame(it) } +
                of("bad_depths") { DepthPreprocessor(spec(it.getJSONObject("preprocess"))).run(depth(it), box(it)) }
    }
}

@RunWith(Parameterized::class)
class ResultVectorTest(name: String, private val case: JSONObject) {
    @Test
    fun `equals Python`() {
        val tensors = case.getJSONArray("outputs").objects()
        val outputs = tensors.associate { it.getString("name") to floats(it.getString("values")) }
        val entries = tensors.map(::entry)
        val context = Context(manifest(entries), region(case.getJSONArray("region")), case.optInt("width"), case.optInt("height"))
        val expected = case.getJSONObject("expected")
        when (case.getJSONObject("postprocess").getString("result")) {
            "Classification" -> {
                val found = toClassification(outputs, context)
                assertEquals(expected.getBoolean("known"), found.known)
                val scores = found.scores
                val wanted = expected.getJSONObject("scores")
                for ((label, probability) in scores) assertTrue(abs(wanted.getDouble(label) - probability) <= 1e-6)
                assertEquals(expected.getString("label"), scores[0].label)
                // The tie in the vectors: equal scores keep the order of the labels.
                assertEquals(listOf("b", "d"), scores.take(2).map { it.label })
            }
            "Keypoints" -> {
                val points = toKeypoints(outputs, context)
                assertTrue(difference(points.pointsPx, floats(expected.getString("points_px"))) <= 1e-4)
                assertTrue(difference(points.templatePointsPx, floats(expected.getString("template_points_px"))) <= 1e-4)
            }
            "FaceBoxes" -> {
                val faces = toFaceBoxes(outputs, context).faces
                val boxes = faces.flatMap { face -> face.boxPx.map { it.toFloat() } }.toFloatArray()
                assertTrue(difference(boxes, floats(expected.getString("boxes_px"))) <= 1e-4)
                assertTrue(difference(faces.map { it.score }.toFloatArray(), floats(expected.getString("scores"))) <= 1e-6)
                val points = faces.flatMap { it.pointsPx.toList() }.toFloatArray()
                assertTrue(difference(points, floats(expected.getString("points_px"))) <= 1e-4)
            }
            "VoxelGrid" -> {
                val solid = toVoxelGrid(outputs, context)
                assertEquals(listOf(expected.getInt("size"), expected.getInt("filled_voxels")), listOf(solid.size, solid.filledVoxels))
            }
            "Detections" -> {
                val objects = toDetectedObjects(outputs, context).objects
                assertEquals(expected.getJSONArray("labels").strings(), objects.map { it.label })
                val boxes = objects.flatMap { found -> found.boxPx.map { it.toFloat() } }.toFloatArray()
                assertTrue(difference(boxes, floats(expected.getString("boxes_px"))) <= 1e-4)
                assertTrue(difference(objects.map { it.score }.toFloatArray(), floats(expected.getString("scores"))) <= 1e-6)
            }
            "Segmentation" -> {
                val found = toSegmentation(outputs, context)
                val shares = expected.getJSONObject("shares")
                assertEquals(shares.keys().asSequence().map { it.toString() }.toSet(), found.shares.map { it.first }.toSet())
                for ((label, share) in found.shares) assertEquals(shares.getDouble(label), share, 1e-9)
                assertEquals(found.shares.sortedByDescending { it.second }, found.shares)
                assertContentEquals(ints(expected.getString("classes")), found.inPicture(case.getInt("width"), case.getInt("height")))
            }
            "Depth" -> {
                val found = toEstimatedDepth(outputs, context)
                assertEquals(expected.getString("unit"), found.unit)
                val laid = found.inPicture(case.getInt("width"), case.getInt("height"))
                val wanted = floats(expected.getString("values"))
                assertEquals(wanted.size, laid.size)
                for (i in wanted.indices) assertTrue(if (wanted[i].isNaN()) laid[i].isNaN() else abs(laid[i] - wanted[i]) <= 1e-5)
                assertTrue(difference(found.nearness, floats(expected.getString("nearness"))) <= 1e-6)
            }
            "Points" -> {
                val found = toPoints(outputs, context)
                assertTrue(difference(found.pointsPx, floats(expected.getString("points_px"))) <= 1e-4)
                val scores = floats(expected.getString("scores"))
                assertEquals(scores.size, found.scores.size)
                assertTrue(scores.isEmpty() || difference(found.scores, scores) <= 1e-6)
                assertEquals(expected.getJSONArray("labels").strings(), found.labels)
            }
            "Embedding" -> {
                val found = toEmbedding(outputs, context)
                assertContentEquals(floats(expected.getString("vector")), found.vector)
                val mirrored = Embedding(found.vector.reversedArray())
                assertEquals(expected.getDouble("similarity"), found.similarity(mirrored), 1e-6)
            }
            "NewPicture" -> {
                val found = toNewPicture(outputs, context)
                assertEquals(listOf(expected.getInt("width"), expected.getInt("height")), listOf(found.width, found.height))
                assertContentEquals(bytes(expected.getString("rgb")), found.rgb)
            }
            "Mask" -> assertTrue(difference(toMask(outputs, context).values, floats(expected.getString("values"))) <= 1e-5)
        }
    }

    private fun manifest(outputs: List<TensorEntry>): Manifest {
        val post = case.getJSONObject("postprocess")
        val threshold = if (post.isNull("threshold")) null else post.getDouble("threshold").toFloat()
        val file = ModelFile("model.tflite", "litert", "fp32", "", "litert", emptyList(), outputs)
        val (height, width) = case.getJSONArray("size").doubles().map(Double::toInt)
        return Manifest(
            "vector", "", "", "", case.getJSONArray("labels").strings(), PreprocessSpec(height, width),
            PostprocessSpec(post.getString("result"), threshold), listOf(file), emptyList(), emptyList(), emptyList(), "",
        )
    }

    private fun entry(json: JSONObject): TensorEntry {
        val dtype = DType.entries.first { it.text == json.getString("dtype") }
        return TensorEntry(json.getString("name"), json.getJSONArray("shape").doubles().map(Double::toInt), dtype, json.getString("unit"))
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("results") { it.getJSONObject("postprocess").getString("result") }
    }
}

@RunWith(Parameterized::class)
class MetricVectorTest(name: String, private val case: JSONObject) {
    @Test
    fun `equals Python`() {
        val found = Metric.named(case.getString("metric")).compute(
            doubles(floats(case.getString("actual"))), doubles(floats(case.getString("expected"))),
            case.getJSONArray("shape").doubles().map(Double::toInt),
        )
        val expected = case.getDouble("value")
        val value = if (found.isInfinite()) 1e300 else found
        assertTrue(abs(value - expected) <= 1e-6 * maxOf(1.0, abs(expected)), "$value, Python gives $expected")
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("metrics")
    }
}

@RunWith(Parameterized::class)
class SignatureVectorTest(name: String, private val case: JSONObject) {
    @Test
    fun `has Python's outcome`() {
        val trusted = if (case.isNull("trusted_key")) null else case.getString("trusted_key")
        val outcome =
            try {
                verifySignature(bytes(case.getString("manifest")), bytes(case.getString("signature")), trusted).text
            } catch (error: OnParException) {
                error::class.simpleName
            }
        assertEquals(case.getString("outcome"), outcome)
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("signatures")
    }
}

class PreprocessorReuseTest {
    @Test
    fun `one preprocessor for many pictures gives what a new one gives`() {
        val turned = cases("pictures").map { it[1] as JSONObject }.filter { it.getString("name").startsWith("orientation") }
        val preprocessor = PicturePreprocessor(spec(turned[0].getJSONObject("preprocess")))
        for (case in turned + turned) {
            preprocessor.run(picture(case))
            assertTrue(difference(preprocessor.tensor, floats(case.getString("tensor"))) <= LIMIT)
        }
    }

    @Test
    fun `transparency is laid over white`() {
        val row = FloatArray(24)
        Picture(8, 8, ByteArray(256) { if (it % 4 == 3) 0 else 77 }).readRow(0, 0, 8, row, 0)
        assertTrue(row.all { it == 255f })
    }
}

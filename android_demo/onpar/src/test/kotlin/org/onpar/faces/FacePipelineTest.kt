package org.onpar

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.cos
import kotlin.math.sin
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized
import org.junit.runners.Parameterized.Parameters

private const val LIMIT = 5e-5

private fun square(values: JSONArray): Square = values.doubles().let { Square(it[0], it[1], it[2], it[3]) }

private fun difference(a: Square, b: Square): Double =
    maxOf(maxOf(abs(a.x - b.x), abs(a.y - b.y)), maxOf(abs(a.side - b.side), abs(a.angle - b.angle) % 360))

/** The four values of a crop that vectors hold. */
private fun corners(tensor: FloatArray, size: Int): FloatArray {
    val last = size - 1
    val middle = last / 2
    return floatArrayOf(tensor[0], tensor[size * size + last], tensor[(2 * size + last) * size], tensor[middle * size + middle])
}

private fun scene(name: String, width: Int, height: Int): Picture {
    val pixels =
        ByteArray(3 * width * height) {
            val x = it / 3 % width
            val y = it / 3 / width
            val plain = x + y + (x * 37 + y * 101 + x * y * 7) % 16 + it % 3 * 15
            when (name) {
                "plain" -> plain
                "dark" -> plain / 2
                "inverted" -> 255 - plain
                else -> 90
            }.toByte()
        }
    return Picture(width, height, pixels)
}

@RunWith(Parameterized::class)
class SquareVectorTest(name: String, private val case: JSONObject) {
    private val square = square(case.getJSONArray("square"))

    @Test
    fun `equals Python`() = assertTrue(worst(square) <= LIMIT)

    /** Without a difference the vectors could not tell such a fault; the far ones are one colour. */
    @Test
    fun `half a pixel or another turn would be seen`() {
        val tensor = floats(case.getString("tensor"))
        if (tensor.all { it in tensor.slice(listOf(0, tensor.size / 3, tensor.size * 2 / 3)) }) return
        assertTrue(worst(square.copy(x = square.x + 0.5)) > 100 * LIMIT)
        if (square.angle % 180 != 0.0) assertTrue(worst(square.copy(angle = -square.angle)) > 100 * LIMIT)
    }

    private fun worst(square: Square): Double {
        val sampler = SquareSampler(case.getInt("size"))
        sampler.sample(picture(case), Square(20.0, 20.0, 90.0, 45.0)) // what an earlier picture left must not matter
        sampler.sample(picture(case), square)
        return difference(sampler.tensor, floats(case.getString("tensor")))
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("squares")
    }
}

@RunWith(Parameterized::class)
class FaceSquareVectorTest(name: String, private val case: JSONObject) {
    private val points = floats(case.getString("points_px"))
    private val expected = square(case.getJSONArray("square"))

    @Test
    fun `equals Python`() {
        assertTrue(difference(squareFromPoints(points), expected) <= 1e-3)
        val region = squareOfBox(case.getJSONArray("box").doubles().toDoubleArray())
        assertTrue(difference(region, region(case.getJSONArray("region"))) <= 1e-9)
    }

    @Test
    fun `points in another order would be seen`() {
        val mirrored = FloatArray(points.size) { points[points.size - 2 - it / 2 * 2 + it % 2] }
        val exchanged = FloatArray(points.size) { points[it xor 1] }
        for (wrong in listOf(mirrored, exchanged)) assertTrue(difference(squareFromPoints(wrong), expected) > 1)
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("face_squares")
    }
}

/** A detector and networks that answer by a script, and see whether they are asked what Python's were asked. */
internal class Script(private val size: Int) {
    var regions: List<Region> = emptyList()
    private var calls = ArrayDeque<JSONObject>()

    fun start(frame: JSONObject) {
        regions = frame.getJSONArray("regions").let { all -> List(all.length()) { region(all.getJSONArray(it)) } }
        calls = ArrayDeque(frame.getJSONArray("calls").objects())
    }

    fun end() = assertEquals(0, calls.size, "networks were not run")

    fun network(name: String) =
        PointNetwork { tensor ->
            val call = calls.removeFirst()
            assertEquals(call.getString("network"), name)
            assertTrue(difference(corners(tensor, size), floats(call.getString("seen"))) <= 5e-4, "another crop")
            answer(call.getJSONArray("move"))
        }

    companion object {
        private val shape = floats((cases("face_shapes")[0][1] as JSONObject).getString("points"))

        fun answer(move: JSONArray): PointAnswer {
            if (move.isNull(0)) return PointAnswer(FloatArray(136) { Float.NaN }, FloatArray(136) { Float.NaN })
            val (grow, right, down, turn, apart) = move.doubles()
            val c = grow * cos(turn * PI / 180)
            val s = grow * sin(turn * PI / 180)
            val points =
                FloatArray(136) {
                    val u = shape[it / 2 * 2] - 0.5
                    val v = shape[it / 2 * 2 + 1] - 0.5
                    (if (it % 2 == 0) u * c - v * s + 0.5 + right else u * s + v * c + 0.5 + down).toFloat()
                }
            return PointAnswer(points, FloatArray(136) { if (it % 2 == 0) (points[it] + apart).toFloat() else points[it] })
        }
    }
}

@RunWith(Parameterized::class)
class JudgmentVectorTest(name: String, private val case: JSONObject) {
    @Test
    fun `equals Python`() {
        val size = case.getInt("size")
        val calls = ArrayDeque(case.getJSONArray("calls").objects())
        val judge =
            FaceJudge(size, case.getDouble("threshold").toFloat(), StageClock()) { tensor ->
                val call = calls.removeFirst()
                assertTrue(difference(corners(tensor, size), floats(call.getString("seen"))) <= 5e-4, "another crop")
                call.getJSONArray("logits").doubles().map { it.toFloat() }.toFloatArray()
            }
        val boxes =
            case.getJSONArray("boxes").objects().mapIndexed { i, box ->
                FaceBox(box.getJSONArray("box").doubles().toDoubleArray(), box.getDouble("score").toFloat(), floatArrayOf(i.toFloat()))
            }
        val kept = judge.refine(boxes, scene("plain", case.getInt("width"), case.getInt("height")))
        assertTrue(calls.isEmpty(), "a box was not looked at")
        val expected = case.getJSONArray("kept").objects()
        assertEquals(expected.map { it.getInt("box") }, kept.map { it.pointsPx[0].toInt() })
        for ((box, wanted) in kept.zip(expected)) assertTrue(abs(box.score - wanted.getDouble("score")) <= 1e-6)
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("judgments")
    }
}

@RunWith(Parameterized::class)
class TrackVectorTest(name: String, private val case: JSONObject) {
    @Test
    fun `equals Python`() {
        val (width, height) = case.getInt("width") to case.getInt("height")
        val script = Script(case.getInt("size"))
        val second = if (case.getBoolean("refined")) script.network("second") else null
        val tracker =
            FaceTracker({ script.regions }, script.network("first"), second, case.getInt("size"), case.getInt("most"), case.getInt("check_every"), case.getBoolean("smooth"))
        for (frame in case.getJSONArray("frames").objects()) {
            if (frame.isNull("faces")) continue // dropped before it comes here; see FaceKeypointPipelineTest
            script.start(frame)
            val picture = scene(frame.getString("picture"), width, height)
            val faces = if (case.getBoolean("video")) tracker.detectForVideo(picture, frame.getLong("timestamp_ms")) else tracker.detect(picture)
            script.end()
            assertEquals(frame.getInt("detector_runs"), tracker.detectorRuns)
            compare(faces, frame.getJSONArray("faces").objects())
        }
    }

    private fun compare(faces: List<DetectedFace>, expected: List<JSONObject>) {
        assertEquals(expected.map { it.getBoolean("tracked") }, faces.map { it.tracked })
        for ((face, wanted) in faces.zip(expected)) {
            assertTrue(difference(face.square, square(wanted.getJSONArray("square"))) <= 2e-3)
            assertTrue(abs(face.disagreement - wanted.getDouble("disagreement")) <= 1e-5)
            if (!wanted.isNull("points_px")) assertTrue(difference(face.pointsPx, floats(wanted.getString("points_px"))) <= 2e-3)
        }
    }

    companion object {
        @JvmStatic @Parameters(name = "{0}") fun cases() = cases("tracks")
    }
}

class SquareBadInputTest {
    @Test
    fun `is refused`() {
        assertFailsWith<BadInput> { squareFromPoints(FloatArray(10)) }
        for (wrong in listOf(Square(Double.NaN, 0.0, 9.0), Square(0.0, 0.0, Double.POSITIVE_INFINITY), Square(0.0, 0.0, -1.0))) {
            assertFailsWith<BadInput> { SquareSampler(8).sample(Picture(9, 9, ByteArray(243)), wrong) }
        }
        for ((size, most, checkEvery) in listOf(Triple(32, 0, 30), Triple(32, 8, 0), Triple(24, 8, 30))) {
            assertFailsWith<BadInput> { FaceTracker({ emptyList() }, { PointAnswer(it, it) }, null, size, most, checkEvery) }
        }
    }
}

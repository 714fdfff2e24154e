package org.onpar

import kotlin.math.asin
import kotlin.math.atan2
import kotlin.math.hypot
import kotlin.math.sqrt

private const val TOPOLOGY = "topology.safetensors"

/** Landmarks of the jaw, which wander to the visible outline. */
private const val JAW = 17
private const val CHIN = 8
private const val NOSE_BASE = 33
private const val RIGHT_EYE_CORNER = 36
private const val LEFT_EYE_CORNER = 45

/** What the meshes of a bundle share. The first 68 vertices are the landmarks, in the order of 300-W. */
class FaceTopology private constructor(
    val vertexCount: Int,
    /** Three numbers of vertices each, counter-clockwise seen from outside. */
    val triangles: IntArray,
    /** For each landmark of the jaw, vertices from it towards the middle of the face. */
    private val contour: IntArray,
    /** Where the jaw of an upright face looks at each of its landmarks. */
    private val outward: FloatArray,
) {
    /** Numbers of the vertices that stand for the landmarks in this view; the jaw's lie on the visible outline. */
    internal fun landmarkVertices(verticesPx: FloatArray): IntArray {
        // Local functions, not lambdas: those would box every number.
        fun x(i: Int): Double = verticesPx[3 * i].toDouble()

        fun y(i: Int): Double = verticesPx[3 * i + 1].toDouble()
        // The head's vertical in the picture, from the eyes' middle to the chin.
        val toX = x(CHIN) - (x(RIGHT_EYE_CORNER) + x(LEFT_EYE_CORNER)) / 2
        val toY = y(CHIN) - (y(RIGHT_EYE_CORNER) + y(LEFT_EYE_CORNER)) / 2
        val length = maxOf(hypot(toX, toY), 1e-9)
        val downX = toX / length
        val downY = toY / length
        val steps = contour.size / JAW
        return IntArray(FACE_POINTS) { number ->
            if (number >= JAW) return@IntArray number
            val right = outward[2 * number].toDouble()
            val up = outward[2 * number + 1].toDouble()
            val directionX = right * downY - up * downX
            val directionY = -right * downX - up * downY
            var best = contour[number * steps]
            for (k in 1 until steps) {
                val other = contour[number * steps + k]
                if ((x(other) - x(best)) * directionX + (y(other) - y(best)) * directionY > 0) best = other
            }
            best
        }
    }

    /** 68 projected landmarks, x, y, x, y, ...; the jaw's lie on the visible outline. */
    internal fun landmarksPx(verticesPx: FloatArray): FloatArray {
        val numbers = landmarkVertices(verticesPx)
        return FloatArray(2 * FACE_POINTS) { verticesPx[3 * numbers[it / 2] + it % 2] }
    }

    companion object {
        /** The topology that a bundle carries. */
        fun of(bundle: Bundle): FaceTopology = parse(bundle.file(TOPOLOGY), "${bundle.name}: $TOPOLOGY")

        internal fun parse(content: ByteArray, name: String = TOPOLOGY): FaceTopology =
            SafeTensors.read(content, name, "face topology", "export the bundle again") { tensors ->
                val count = tensors.length("mean")
                if (count < FACE_POINTS) throw tensors.damaged("$count vertices; needed: the $FACE_POINTS landmarks")
                FaceTopology(
                    count,
                    tensors.integers("faces", 0, count, tensors.length("faces"), 3),
                    tensors.integers("contour", 0, count, JAW, maxOf(1, tensors.shape("contour").last())),
                    tensors.floats("outward", JAW, 2),
                )
            }
    }
}

/**
 * Degrees by which a face turns to the picture's right, looks down, and tilts counter-clockwise in the picture: yaw first,
 * then pitch, then roll, each about a fixed axis of the viewer's.
 */
data class FacePose(val yaw: Double, val pitch: Double, val roll: Double)

/**
 * What a face does, against its own neutral shape.
 *
 * The first four are changes in shares of the neutral outer eye distance, about -0.1 to 0.5; an eye (the person's left or
 * right) is 0 as neutral, 1 shut, negative wide open.
 */
data class FaceExpression(
    val mouthOpen: Double,
    val mouthWide: Double,
    val smile: Double,
    val browRaise: Double,
    val leftEyeClosed: Double,
    val rightEyeClosed: Double,
)

/**
 * A face in three dimensions: V vertices, three numbers each.
 *
 * [verticesPx]: x and y in picture pixels, the centre of the first pixel at (0, 0); z towards the viewer in the same unit,
 * 0 at the middle of the face. [neutral]: the same face without expression in decimetres, upright, x to the picture's right
 * when it looks at the viewer, y up, z out of the face; one picture does not tell its true size. [rotation]: 3 x 3, row by
 * row, from that frame to the viewer's (x right, y up, z towards the viewer). [scalePx]: pixels per decimetre.
 * [centerPx]: x and y, where the origin of that frame lies in the picture. [region]: the crop that the network saw.
 */
class FaceMesh(
    val verticesPx: FloatArray,
    val neutral: FloatArray,
    val rotation: FloatArray,
    val scalePx: Float,
    val centerPx: FloatArray,
    val region: Region,
    val topology: FaceTopology,
) {
    /** Like [neutral], with the expression: the face before its pose. Computed at every call. */
    fun shape(): FloatArray {
        val shape = FloatArray(verticesPx.size)
        for (i in shape.indices step 3) {
            val x = (verticesPx[i] - centerPx[0].toDouble()) / scalePx
            val y = (centerPx[1].toDouble() - verticesPx[i + 1]) / scalePx
            val z = verticesPx[i + 2].toDouble() / scalePx
            for (k in 0..2) shape[i + k] = (x * rotation[k] + y * rotation[3 + k] + z * rotation[6 + k]).toFloat()
        }
        return shape
    }

    /** 68 projected landmarks, x, y, x, y, ...; the jaw's lie on the visible outline, as in 300-W. */
    fun landmarksPx(): FloatArray = topology.landmarksPx(verticesPx)

    val poseDegrees: FacePose
        get() {
            val r = rotation
            val yaw = atan2(-r[6].toDouble(), r[8].toDouble())
            val pitch = asin(r[7].toDouble().coerceIn(-1.0, 1.0))
            val roll = atan2(-r[1].toDouble(), r[4].toDouble())
            return FacePose(Math.toDegrees(yaw), Math.toDegrees(pitch), Math.toDegrees(roll))
        }

    /** Computed at every call. */
    fun expression(): FaceExpression {
        val now = FaceMeasures(shape())
        val rest = FaceMeasures(neutral)
        val size = rest.apart(RIGHT_EYE_CORNER, LEFT_EYE_CORNER)
        return FaceExpression(
            (now.mouthOpen - rest.mouthOpen) / size,
            (now.mouthWide - rest.mouthWide) / size,
            (now.smile - rest.smile) / size,
            (now.browRaise - rest.browRaise) / size,
            1 - now.leftEye / maxOf(rest.leftEye, 1e-6),
            1 - now.rightEye / maxOf(rest.rightEye, 1e-6),
        )
    }

    /** The upright face with its expression as an OBJ file, in metres. */
    fun toObj(): String {
        val shape = shape()
        val text = StringBuilder()
        for (i in shape.indices step 3) {
            text.append("v ${shape[i] / 10} ${shape[i + 1] / 10} ${shape[i + 2] / 10}\n")
        }
        val t = topology.triangles
        for (i in t.indices step 3) text.append("f ${t[i] + 1} ${t[i + 1] + 1} ${t[i + 2] + 1}\n")
        return text.toString()
    }
}

/** Distances between landmarks of an upright face, in its unit. */
private class FaceMeasures(private val shape: FloatArray) {
    val mouthOpen get() = (apart(61, 67) + apart(62, 66) + apart(63, 65)) / 3
    val mouthWide get() = apart(48, 54)
    val smile get() = (y(48) + y(54)) / 2 - y(NOSE_BASE)
    val browRaise get() = (17..26).sumOf(::y) / 10 - (y(36) + y(39) + y(42) + y(45)) / 4
    val rightEye get() = (apart(37, 41) + apart(38, 40)) / 2
    val leftEye get() = (apart(43, 47) + apart(44, 46)) / 2

    fun apart(a: Int, b: Int): Double {
        val x = shape[3 * a].toDouble() - shape[3 * b]
        val y = y(a) - y(b)
        val z = shape[3 * a + 2].toDouble() - shape[3 * b + 2]
        return sqrt(x * x + y * y + z * z)
    }

    private fun y(i: Int): Double = shape[3 * i + 1].toDouble()
}

internal fun toFaceMesh(outputs: Tensors, context: Context, topology: FaceTopology): FaceMesh {
    val region = context.region
    val verticesPx = FloatArray(3 * topology.vertexCount)
    fillVertices(outputs, context, verticesPx)
    val neutral = output(outputs, "neutral")
    val pose = output(outputs, "pose")
    if (neutral.size != verticesPx.size || pose.size != POSE) {
        throw BundleInvalid("${context.manifest.id} gives ${neutral.size} neutral and ${pose.size} pose values; needed: ${verticesPx.size} and $POSE; export the bundle again")
    }
    val center = toPicture(floatArrayOf(pose[5], pose[6]), region)
    return FaceMesh(verticesPx, neutral.copyOf(), rotationOf(pose), (pose[4] * region.width).toFloat(), center, region, topology)
}

/** Projects the vertices into [verticesPx], the unit of [FaceMesh.verticesPx]. */
internal fun fillVertices(outputs: Tensors, context: Context, verticesPx: FloatArray) {
    val region = context.region
    val vertices = output(outputs, "vertices")
    if (vertices.size != verticesPx.size) {
        throw BundleInvalid("${context.manifest.id} gives ${vertices.size / 3} vertices; its topology has ${verticesPx.size / 3}; export the bundle again")
    }
    for (i in vertices.indices step 3) {
        verticesPx[i] = (vertices[i].toDouble() * region.width + region.left - 0.5).toFloat()
        verticesPx[i + 1] = (vertices[i + 1].toDouble() * region.height + region.top - 0.5).toFloat()
        verticesPx[i + 2] = (vertices[i + 2].toDouble() * region.width).toFloat()
    }
}

/** Quaternion w, x, y, z of any length, scale, shift x and y. */
private const val POSE = 7

private fun rotationOf(pose: FloatArray): FloatArray {
    var squares = 0.0
    for (i in 0..3) squares += pose[i].toDouble() * pose[i]
    val length = maxOf(sqrt(squares), 1e-9)
    val w = pose[0] / length
    val x = pose[1] / length
    val y = pose[2] / length
    val z = pose[3] / length
    return floatArrayOf(
        (1 - 2 * (y * y + z * z)).toFloat(), (2 * (x * y - w * z)).toFloat(), (2 * (x * z + w * y)).toFloat(),
        (2 * (x * y + w * z)).toFloat(), (1 - 2 * (x * x + z * z)).toFloat(), (2 * (y * z - w * x)).toFloat(),
        (2 * (x * z - w * y)).toFloat(), (2 * (y * z + w * x)).toFloat(), (1 - 2 * (x * x + y * y)).toFloat(),
    )
}

package org.onpar.demo

import kotlin.math.abs
import kotlin.math.roundToInt
import org.onpar.Classification
import org.onpar.DetectedFace
import org.onpar.DetectedObjects
import org.onpar.Embedding
import org.onpar.EstimatedDepth
import org.onpar.FaceBoxes
import org.onpar.FaceMesh
import org.onpar.Keypoints
import org.onpar.Mask
import org.onpar.NewPicture
import org.onpar.Points
import org.onpar.Segmentation
import org.onpar.VoxelGrid

/**
 * What a screen shows of a result: a line for people, and what lies over the picture.
 *
 * Points and lines are in picture pixels, the centre of the first pixel at (0, 0): x, y of each point, and of both ends of
 * each line.
 */
class Shown(
    val text: String,
    val pointsPx: List<FloatArray> = emptyList(),
    val boxesPx: List<DoubleArray> = emptyList(),
    val linesPx: List<FloatArray> = emptyList(),
    val mask: Mask? = null,
) {
    companion object {
        fun of(value: Any?): Shown =
            when (value) {
                is Classification -> Shown(value.scores.take(3).joinToString { "%s %.0f %%".format(it.label, 100 * it.probability) })
                is FaceBoxes -> Shown(faces(value.faces.size), value.faces.map { it.pointsPx }, value.faces.map { it.boxPx })
                is Keypoints -> Shown("${value.pointsPx.size / 2} points on the face", listOf(value.pointsPx))
                is Mask -> Shown("%.0f %% of the picture stands out".format(100 * value.share), mask = value)
                is VoxelGrid -> Shown("${value.filledVoxels} of ${value.size}³ voxels filled")
                is FaceMesh -> Shown(turned(value), linesPx = listOf(wire(value)))
                is DetectedObjects -> Shown(objects(value), boxesPx = value.objects.map { it.boxPx })
                is Segmentation -> Shown(value.shares.take(3).joinToString { (label, share) -> "%s %.0f %%".format(label, 100 * share) })
                is EstimatedDepth -> Shown("${value.unit} from ${value.values.min()} to ${value.values.max()}")
                is Points -> Shown("${value.pointsPx.size / 2} points", listOf(value.pointsPx))
                is Embedding -> Shown("a vector of ${value.vector.size} numbers")
                is NewPicture -> Shown("a picture of ${value.width} x ${value.height} pixels")
                is List<*> -> allFaces(value)
                else -> Shown("")
            }

        private fun objects(value: DetectedObjects): String =
            value.objects.take(3).joinToString { "%s %.0f %%".format(it.label, 100 * it.score) }.ifEmpty { "nothing found" }

        private fun allFaces(found: List<*>): Shown {
            val meshes = found.filterIsInstance<FaceMesh>()
            val points = found.filterIsInstance<DetectedFace>().map { it.pointsPx }
            val text = faces(found.size) + if (meshes.isEmpty()) "" else ", the largest ${turned(meshes[0])}"
            return Shown(text, points, linesPx = meshes.map(::wire))
        }

        private fun faces(count: Int): String = if (count == 1) "1 face" else "$count faces"

        private fun turned(face: FaceMesh): String {
            val (yaw, pitch, roll) = face.poseDegrees
            fun part(degrees: Double, positive: String, negative: String) =
                "${abs(degrees).roundToInt()}° ${if (degrees < 0) negative else positive}"
            return "turned ${part(yaw, "right", "left")}, ${part(pitch, "down", "up")}, tilted ${part(-roll, "right", "left")}"
        }

        /** Two edges of each triangle that faces the viewer; the third is a neighbour's. */
        private fun wire(face: FaceMesh): FloatArray {
            val v = face.verticesPx
            val t = face.topology.triangles
            val lines = FloatArray(t.size / 3 * 8)
            var count = 0
            for (i in t.indices step 3) {
                val (a, b, c) = Triple(3 * t[i], 3 * t[i + 1], 3 * t[i + 2])
                // Counter-clockwise seen from outside, and rows count downwards.
                if ((v[b] - v[a]) * (v[c + 1] - v[a + 1]) > (v[b + 1] - v[a + 1]) * (v[c] - v[a])) continue
                for (end in intArrayOf(a, b, b, c)) {
                    lines[count++] = v[end]
                    lines[count++] = v[end + 1]
                }
            }
            return lines.copyOf(count)
        }
    }
}

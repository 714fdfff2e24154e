package org.onpar

/**
 * A face in a picture.
 *
 * [boxPx] is x0, y0, x1, y1 in picture pixels, the picture's outer corner at (0, 0), and may reach beyond the picture.
 * [pointsPx] are the centres of the eyes, the tip of the nose and the corners of the mouth, the image's left first:
 * x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0).
 */
class FaceBox(val boxPx: DoubleArray, val score: Float, val pointsPx: FloatArray)

/** Faces in a picture, the most certain one first. */
class FaceBoxes(val faces: List<FaceBox>)

fun toFaceBoxes(outputs: Tensors, context: Context): FaceBoxes =
    FaceBoxes(findFaces(output(outputs, "faces"), context.region, thresholdOf(context.manifest)))

/** Of two boxes of one face, the one with the lower score goes. */
private const val LARGEST_OVERLAP = 0.4

/** x0, y0, x1, y1, score, five x, five y; places in shares of the region. */
private const val FACE_COLUMNS = 15
private const val SCORE = 4

/** The faces of a detector's output: certain enough, their middle in the network's input, the best of overlapping ones. */
fun findFaces(rows: FloatArray, region: Region, threshold: Float): List<FaceBox> {
    // Most rows show no face: they are passed over before anything is made of them.
    val candidates = ArrayList<DoubleArray>()
    for (start in 0 until rows.size step FACE_COLUMNS) {
        if (!(rows[start + SCORE] >= threshold)) continue
        val row = DoubleArray(FACE_COLUMNS) { rows[start + it].toDouble() }
        if (row.all(Double::isFinite) && middleInside(row)) candidates.add(row)
    }
    candidates.sortByDescending { it[SCORE] } // stable: equal scores keep their order
    val kept = mutableListOf<DoubleArray>()
    for (row in candidates) if (kept.none { overlapsMuch(it, row) }) kept.add(row)
    return kept.map { toFaceBox(it, region) }
}

private fun middleInside(row: DoubleArray): Boolean = (row[0] + row[2]) / 2 in 0.0..1.0 && (row[1] + row[3]) / 2 in 0.0..1.0

private fun overlapsMuch(a: DoubleArray, b: DoubleArray): Boolean {
    val both = maxOf(0.0, minOf(a[2], b[2]) - maxOf(a[0], b[0])) * maxOf(0.0, minOf(a[3], b[3]) - maxOf(a[1], b[1]))
    return both > LARGEST_OVERLAP * (areaOf(a) + areaOf(b) - both)
}

private fun areaOf(box: DoubleArray): Double = maxOf(0.0, box[2] - box[0]) * maxOf(0.0, box[3] - box[1])

private fun toFaceBox(row: DoubleArray, region: Region): FaceBox {
    val box = DoubleArray(4) { if (it % 2 == 0) row[it] * region.width + region.left else row[it] * region.height + region.top }
    val points =
        FloatArray(10) {
            val (length, start) = if (it % 2 == 0) region.width to region.left else region.height to region.top
            (row[5 + it / 2 + 5 * (it % 2)] * length + start - 0.5).toFloat()
        }
    return FaceBox(box, row[SCORE].toFloat(), points)
}

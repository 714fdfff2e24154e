package org.onpar

import kotlin.math.abs
import kotlin.math.log10
import kotlin.math.sqrt

private const val CAP_DB = 200.0
private const val LEFT_EYE = 36
private const val RIGHT_EYE = 45
private const val FACE_SCORE = 0.3f

/** How far an output is from the golden one: the metrics of sdk_build/proof/metrics.py that bundles set limits for. */
enum class Metric(val largerIsBetter: Boolean, private val measure: (actual: FloatArray, expected: FloatArray, columns: Int) -> Double) {
    MAX_ABS_OF_RANGE(false, { a, e, _ -> maxAbsOfRange(a, e) }),
    SQNR_DB(true, { a, e, _ -> decibel(meanOf(e) { i -> e[i].toDouble() * e[i] }, a, e) }),
    PSNR_DB(true, { a, e, _ -> decibel(span(e) * span(e), a, e) }),
    COSINE(true, { a, e, _ -> cosine(a, e) }),
    TOP1_AGREEMENT(true, { a, e, _ -> if (allFinite(a) && largestAt(a) == largestAt(e)) 1.0 else 0.0 }),
    NME_PERCENT(false, ::nmePercent),
    VOXEL_IOU(true, { a, e, _ -> iou(a, e) }),
    MASK_IOU(true, { a, e, _ -> iou(a, e) }),
    FACE_AGREEMENT(true, { a, e, _ -> faceAgreement(a, e) }),
    ;

    /** [columns] is the last size of the output's shape: how many numbers a point has. */
    fun compute(actual: FloatArray, expected: FloatArray, columns: Int = 2): Double = measure(actual, expected, columns)

    companion object {
        /** The metric of a name in bundle.json. */
        fun named(name: String): Metric =
            entries.firstOrNull { it.name.lowercase() == name }
                ?: throw BundleInvalid(
                    "bundle.json has the metric '$name'; allowed: ${entries.joinToString { it.name.lowercase() }}; update onpar",
                )
    }
}

private fun maxAbsOfRange(a: FloatArray, e: FloatArray): Double {
    val scale = span(e).takeIf { it > 0 } ?: e.maxOf { abs(it.toDouble()) }.takeIf { it > 0 } ?: 1.0
    var largest = 0.0
    for (i in a.indices) {
        val difference = abs(a[i].toDouble() - e[i])
        if (!difference.isFinite()) return Double.POSITIVE_INFINITY
        largest = maxOf(largest, difference)
    }
    return largest / scale
}

private fun cosine(a: FloatArray, e: FloatArray): Double {
    if (!allFinite(a)) return -1.0
    val norm = sqrt(meanOf(a) { a[it].toDouble() * a[it] } * meanOf(e) { e[it].toDouble() * e[it] })
    return if (norm > 0) meanOf(a) { a[it].toDouble() * e[it] } / norm else 0.0
}

private fun nmePercent(a: FloatArray, e: FloatArray, columns: Int): Double {
    val points = e.size / columns
    var total = 0.0
    for (i in 0 until points) total += distance(a, i, e, i, columns)
    val value = 100 * total / points / maxOf(distance(e, LEFT_EYE, e, RIGHT_EYE, columns), 1e-12)
    return if (value.isFinite()) value else Double.POSITIVE_INFINITY
}

private fun distance(p: FloatArray, i: Int, q: FloatArray, j: Int, columns: Int): Double {
    var squares = 0.0
    for (k in 0 until columns) squares += (p[columns * i + k].toDouble() - q[columns * j + k]).let { it * it }
    return sqrt(squares)
}

private fun iou(a: FloatArray, e: FloatArray): Double {
    var both = 0
    var either = 0
    for (i in a.indices) {
        val inA = a[i] >= 0.5f
        val inE = e[i] >= 0.5f
        if (inA && inE) both++
        if (inA || inE) either++
    }
    return if (either > 0) both.toDouble() / either else 1.0
}

/** Mean overlap of the faces that either of two detectors' outputs holds; a face that only one holds counts 0. */
private fun faceAgreement(a: FloatArray, e: FloatArray): Double {
    val whole = Region(0.0, 0.0, 1.0, 1.0)
    val found = findFaces(a, whole, FACE_SCORE).map { it.boxPx }
    val wanted = findFaces(e, whole, FACE_SCORE).map { it.boxPx }
    if (found.isEmpty() || wanted.isEmpty()) return if (found.isEmpty() == wanted.isEmpty()) 1.0 else 0.0
    val pairs = found.indices.flatMap { i -> wanted.indices.map { j -> Triple(i, j, overlap(found[i], wanted[j])) } }
    val takenA = mutableSetOf<Int>()
    val takenE = mutableSetOf<Int>()
    var total = 0.0
    for ((i, j, share) in pairs.sortedByDescending { it.third }) {
        if (share <= 0 || i in takenA || j in takenE) continue
        takenA.add(i)
        takenE.add(j)
        total += share
    }
    return total / (found.size + wanted.size - takenA.size)
}

private fun overlap(a: DoubleArray, b: DoubleArray): Double {
    val both = maxOf(0.0, minOf(a[2], b[2]) - maxOf(a[0], b[0])) * maxOf(0.0, minOf(a[3], b[3]) - maxOf(a[1], b[1]))
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
}

private fun decibel(signal: Double, a: FloatArray, e: FloatArray): Double {
    val noise = meanOf(a) { (a[it].toDouble() - e[it]) * (a[it].toDouble() - e[it]) }
    if (!noise.isFinite()) return -CAP_DB
    if (noise == 0.0) return CAP_DB
    return (10 * log10(maxOf(signal, 1e-300) / noise)).coerceIn(-CAP_DB, CAP_DB)
}

private inline fun meanOf(values: FloatArray, of: (Int) -> Double): Double {
    var total = 0.0
    for (i in values.indices) total += of(i)
    return total / values.size
}

private fun span(values: FloatArray): Double = values.max().toDouble() - values.min()

private fun allFinite(values: FloatArray): Boolean = values.all { it.isFinite() }

private fun largestAt(values: FloatArray): Int = values.indices.maxByOrNull { values[it] } ?: -1

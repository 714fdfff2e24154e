package org.onpar

import kotlin.math.abs
import kotlin.math.asin
import kotlin.math.log10
import kotlin.math.sqrt

private const val CAP_DB = 200.0
private const val LEFT_EYE = 36
private const val RIGHT_EYE = 45
private const val FACE_SCORE = 0.3f

/** Of the range of all coordinates, or of a map's sides. */
private const val CLOSE = 0.01

/** Of the range: what eyes may see in a flat area. */
private const val VISIBLE = 4.0 / 255

/** How far an output is from the golden one: the metrics of sdk_build/proof/metrics.py that bundles set limits for. */
enum class Metric(val largerIsBetter: Boolean, private val measure: (actual: DoubleArray, expected: DoubleArray, shape: List<Int>) -> Double) {
    MAX_ABS_OF_RANGE(false, { a, e, _ -> maxAbsOfRange(a, e) }),
    SQNR_DB(true, { a, e, _ -> decibel(meanOf(e) { i -> e[i] * e[i] }, a, e) }),
    PSNR_DB(true, { a, e, _ -> decibel(span(e) * span(e), a, e) }),
    COSINE(true, { a, e, _ -> cosine(a, e) }),
    TOP1_AGREEMENT(true, { a, e, _ -> if (allFinite(a) && largestAt(a) == largestAt(e)) 1.0 else 0.0 }),
    NME_PERCENT(false, { a, e, shape -> nmePercent(a, e, shape.last()) }),
    VOXEL_IOU(true, { a, e, _ -> iou(a, e) }),
    MASK_IOU(true, { a, e, _ -> iou(a, e) }),
    FACE_AGREEMENT(true, { a, e, _ -> faceAgreement(toFloats(a), toFloats(e)) }),
    EXACT_SHARE(true, { a, e, _ -> shareOf(a) { a[it] == e[it] } }),
    FINITE_SHARE(true, { a, e, _ -> finiteShare(a, e) }),
    PIXEL_AGREEMENT(true, ::pixelAgreement),
    COORDINATE_AGREEMENT(true, { a, e, _ -> shareWithin(a, e) }),
    POINT_AGREEMENT(true, ::pointAgreement),
    DEPTH_CORRELATION(true, { a, e, _ -> depthCorrelation(a, e) }),
    ANGLE_DEGREES(false, { a, e, _ -> angleDegrees(a, e) }),
    PICTURE_AGREEMENT(true, { a, e, _ -> (VISIBLE * range(e)).let { bound -> shareOf(a) { abs(a[it] - e[it]) <= bound } } }),
    ;

    /** Of two outputs of this shape; large ones are thinned and flat. */
    fun compute(actual: DoubleArray, expected: DoubleArray, shape: List<Int>): Double = measure(actual, expected, shape)

    companion object {
        /** The metric of a name in bundle.json. */
        fun named(name: String): Metric =
            entries.firstOrNull { it.name.lowercase() == name }
                ?: throw BundleInvalid(
                    "bundle.json has the metric '$name'; allowed: ${entries.joinToString { it.name.lowercase() }}; update onpar",
                )
    }
}

private fun maxAbsOfRange(a: DoubleArray, e: DoubleArray): Double {
    val scale = span(e).takeIf { it > 0 } ?: e.maxOf { abs(it) }.takeIf { it > 0 } ?: 1.0
    var largest = 0.0
    for (i in a.indices) {
        val difference = abs(a[i] - e[i])
        if (!difference.isFinite()) return Double.POSITIVE_INFINITY
        largest = maxOf(largest, difference)
    }
    return largest / scale
}

private fun cosine(a: DoubleArray, e: DoubleArray): Double {
    if (!allFinite(a)) return -1.0
    val norm = sqrt(meanOf(a) { a[it] * a[it] } * meanOf(e) { e[it] * e[it] })
    return if (norm > 0) meanOf(a) { a[it] * e[it] } / norm else 0.0
}

private fun nmePercent(a: DoubleArray, e: DoubleArray, columns: Int): Double {
    val points = e.size / columns
    var total = 0.0
    for (i in 0 until points) total += distance(a, i, e, i, columns)
    val value = 100 * total / points / maxOf(distance(e, LEFT_EYE, e, RIGHT_EYE, columns), 1e-12)
    return if (value.isFinite()) value else Double.POSITIVE_INFINITY
}

private fun distance(p: DoubleArray, i: Int, q: DoubleArray, j: Int, columns: Int): Double {
    var squares = 0.0
    for (k in 0 until columns) squares += (p[columns * i + k] - q[columns * j + k]).let { it * it }
    return sqrt(squares)
}

private fun iou(a: DoubleArray, e: DoubleArray): Double {
    var both = 0
    var either = 0
    for (i in a.indices) {
        val inA = a[i] >= 0.5
        val inE = e[i] >= 0.5
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

private fun finiteShare(a: DoubleArray, e: DoubleArray): Double {
    val wanted = e.indices.filter { e[it].isFinite() }
    return if (wanted.isEmpty()) 1.0 else wanted.count { a[it].isFinite() }.toDouble() / wanted.size
}

/** Share of the cells whose class is the same, of scores (1, classes, h, w) or class numbers. */
private fun pixelAgreement(a: DoubleArray, e: DoubleArray, shape: List<Int>): Double {
    if (!allFinite(a)) return 0.0
    if (shape.size != 4) return shareOf(a) { a[it] == e[it] }
    val actual = classesOf(toFloats(a), shape, true)
    val expected = classesOf(toFloats(e), shape, true)
    return actual.indices.count { actual[it] == expected[it] }.toDouble() / actual.size
}

/** Share of the coordinates, or of the maps' peaks, that are off by less than 1 % of the range or of the side. */
private fun pointAgreement(a: DoubleArray, e: DoubleArray, shape: List<Int>): Double {
    if (!allFinite(a)) return 0.0
    if (shape.size != 4) return shareWithin(a, e)
    val (actual, expected) = listOf(a, e).map { peaks(toFloats(it), shape[1], shape[2], shape[3]).first }
    return actual.indices.count { abs(actual[it].toDouble() - expected[it]) < CLOSE }.toDouble() / actual.size
}

/** Pearson's correlation; 0 where one of the maps is constant. */
private fun depthCorrelation(a: DoubleArray, e: DoubleArray): Double {
    val middleA = meanOf(a) { a[it] }
    val middleE = meanOf(e) { e[it] }
    val norm = sqrt(meanOf(a) { (a[it] - middleA) * (a[it] - middleA) } * meanOf(e) { (e[it] - middleE) * (e[it] - middleE) })
    return if (norm.isFinite() && norm != 0.0) meanOf(a) { (a[it] - middleA) * (e[it] - middleE) } / norm else 0.0
}

/** By the chord: an arc cosine loses small angles to rounding. */
private fun angleDegrees(a: DoubleArray, e: DoubleArray): Double {
    val lengthA = sqrt(a.sumOf { it * it })
    val lengthE = sqrt(e.sumOf { it * it })
    if (!(lengthA * lengthE).isFinite() || lengthA * lengthE == 0.0) return 90.0
    val chord = sqrt(a.indices.sumOf { (a[it] / lengthA - e[it] / lengthE).let { d -> d * d } })
    return Math.toDegrees(2 * asin(minOf(1.0, chord / 2)))
}

/** Share of the values that are off by less than 1 % of the range. */
private fun shareWithin(a: DoubleArray, e: DoubleArray): Double = (CLOSE * range(e)).let { bound -> shareOf(a) { abs(a[it] - e[it]) < bound } }

private fun range(e: DoubleArray): Double = span(e).takeIf { it != 0.0 } ?: 1.0

private inline fun shareOf(values: DoubleArray, counts: (Int) -> Boolean): Double = meanOf(values) { if (counts(it)) 1.0 else 0.0 }

private fun toFloats(values: DoubleArray): FloatArray = FloatArray(values.size) { values[it].toFloat() }

private fun overlap(a: DoubleArray, b: DoubleArray): Double {
    val both = maxOf(0.0, minOf(a[2], b[2]) - maxOf(a[0], b[0])) * maxOf(0.0, minOf(a[3], b[3]) - maxOf(a[1], b[1]))
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
}

private fun decibel(signal: Double, a: DoubleArray, e: DoubleArray): Double {
    val noise = meanOf(a) { (a[it] - e[it]) * (a[it] - e[it]) }
    if (!noise.isFinite()) return -CAP_DB
    if (noise == 0.0) return CAP_DB
    return (10 * log10(maxOf(signal, 1e-300) / noise)).coerceIn(-CAP_DB, CAP_DB)
}

private inline fun meanOf(values: DoubleArray, of: (Int) -> Double): Double {
    var total = 0.0
    for (i in values.indices) total += of(i)
    return total / values.size
}

private fun span(values: DoubleArray): Double = values.max() - values.min()

private fun allFinite(values: DoubleArray): Boolean = values.all { it.isFinite() }

private fun largestAt(values: DoubleArray): Int = values.indices.maxByOrNull { values[it] } ?: -1

package org.onpar

import kotlin.math.hypot
import kotlin.math.sqrt

/** Mean distance of result and template, in outer eye distances; 0.05 is usual on faces. */
private const val LOST_DISAGREEMENT = 0.25

/** Largest change of a face's side from one frame to the next. */
private const val LOST_GROWTH = 1.6

/** Largest shift of its centre, in sides. */
private const val LOST_SHIFT = 0.6

/** Of a crop, in pixels. */
private const val SMALLEST_CROP = 16.0

/** Least correlation of the crop's thumbnail with the one before: networks see a face in a wall, too. */
private const val LOST_LIKENESS = 0.5

/** Side of the thumbnail. */
internal const val THUMBNAIL = 16

/** Overlap from which on a track and a detector's crop show one face. */
private const val SAME_FACE = 0.3

/**
 * The keypoints of a face that the pipeline found.
 *
 * [pointsPx] are 68 points: x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0);
 * [templatePointsPx] those from the template alone. [square] is the crop that the last network saw. [disagreement] is the
 * mean distance of the two in outer eye distances, large where there is no face. [tracked]: the crop came from the frame
 * before, not from the detector.
 */
class DetectedFace internal constructor(
    val pointsPx: FloatArray,
    val templatePointsPx: FloatArray,
    val square: Square,
    val disagreement: Double,
    internal val thumbnail: FloatArray,
    val tracked: Boolean,
    internal var steady: Steady? = null,
) {
    /** With smoothed points; a face that was not followed from the frame before starts anew. */
    internal fun steadied(timestampMs: Long): DetectedFace {
        // On a profile the eyes' distance is nothing; a crop's side never is.
        val eyes = hypot(pointsPx[90] - pointsPx[72].toDouble(), pointsPx[91] - pointsPx[73].toDouble())
        val now = steady(steady, pointsPx, timestampMs, maxOf(1.0, eyes, square.side / 6))
        steady = now
        return DetectedFace(now.pointsPx, templatePointsPx, square, disagreement, thumbnail, tracked)
    }
}

/** Points and those of the template, in fractions of the crop; read before the next run. */
internal class PointAnswer(val points: FloatArray, val template: FloatArray)

/** (1, 3, S, S) RGB in [0, 1] to points. */
internal fun interface PointNetwork {
    fun run(tensor: FloatArray): PointAnswer
}

/** Crops for the first network around the faces of a picture. */
internal fun interface FindFaces {
    fun run(source: PixelSource): List<Region>
}

/** Nanoseconds spent before and inside the networks, since the last [start]. */
internal class StageClock {
    private var began = 0L
    private var pre = 0L
    private var inference = 0L

    fun start() {
        began = System.nanoTime()
        pre = 0
        inference = 0
    }

    inline fun <R> pre(work: () -> R): R {
        val from = System.nanoTime()
        return work().also { addPre(System.nanoTime() - from) }
    }

    inline fun <R> inference(work: () -> R): R {
        val from = System.nanoTime()
        return work().also { addInference(System.nanoTime() - from) }
    }

    fun addPre(nanoseconds: Long) {
        pre += nanoseconds
    }

    fun addInference(nanoseconds: Long) {
        inference += nanoseconds
    }

    fun timings(): Timings = Timings(pre / 1e6, inference / 1e6, (System.nanoTime() - began - pre - inference) / 1e6)
}

/** Finds faces and their keypoints in pictures, and follows them through videos: reference/pipelines/faces.py. */
internal class FaceTracker(
    private val find: FindFaces,
    private val first: PointNetwork,
    private val second: PointNetwork?,
    private val size: Int,
    private val most: Int,
    private val checkEvery: Int,
    private val smooth: Boolean = true,
    private val clock: StageClock = StageClock(),
) {
    private val regions = PicturePreprocessor(PreprocessSpec(size, size))
    private val squares = SquareSampler(size)
    private var tracks: List<DetectedFace> = emptyList()
    private var sinceCheck = 0
    var detectorRuns = 0
        private set

    init {
        if (most < 1 || checkEvery < 1) throw BadInput("most is $most, checkEvery $checkEvery; allowed: 1 or more")
        if (size < THUMBNAIL || size % THUMBNAIL != 0) throw BadInput("the keypoint network takes $size pixels; allowed: a multiple of $THUMBNAIL")
    }

    /** Forget the video so far. */
    fun reset() {
        tracks = emptyList()
        sinceCheck = 0
        detectorRuns = 0
    }

    /** Every face of a picture, largest first. */
    fun detect(picture: PixelSource): List<DetectedFace> = findFaces(picture).mapNotNull { fromRegion(picture, it) }

    /** The faces of the next frame, later than the last; the detector runs when a track is lost or a check is due. */
    fun detectForVideo(frame: PixelSource, timestampMs: Long): List<DetectedFace> {
        var kept = ArrayList<DetectedFace>(tracks.size)
        for (before in tracks) {
            val now = fromSquare(frame, squareFromPoints(before.pointsPx), true)
            now.steady = before.steady
            if (holds(now, before, frame)) kept.add(now)
        }
        sinceCheck++
        if (kept.isEmpty() || kept.size < tracks.size || sinceCheck >= checkEvery) {
            kept = check(frame, kept)
            sinceCheck = 0
        }
        tracks = kept.sortedByDescending { it.square.side }.take(most)
        return if (smooth) tracks.map { it.steadied(timestampMs) } else tracks
    }

    /** Let the detector confirm tracks, end others, and add new faces. */
    private fun check(frame: PixelSource, kept: List<DetectedFace>): ArrayList<DetectedFace> {
        val confirmed = ArrayList<DetectedFace>()
        for (region in findFaces(frame)) {
            val same = kept.firstOrNull { overlap(it.square, region) > SAME_FACE && it !in confirmed }
            (same ?: fromRegion(frame, region))?.let(confirmed::add)
        }
        return confirmed
    }

    private fun findFaces(picture: PixelSource): List<Region> {
        detectorRuns++
        val largest = LARGEST_SIDE_OF_PICTURE * longest(picture)
        return find.run(picture).filter { it.width > 0 && it.width <= largest }.sortedByDescending { it.width }.take(most)
    }

    /** Null where the points are no face's. */
    private fun fromRegion(picture: PixelSource, region: Region): DetectedFace? {
        clock.pre { regions.sample(picture, region) }
        // The detector's square is rough: the network looks again through its own.
        val square = squareFromPoints(toPicture(first.run(regions.tensor).points, region))
        if (!square.fits(longest(picture))) return null
        return fromSquare(picture, square, false).takeIf { squareFromPoints(it.pointsPx).fits(longest(picture)) }
    }

    private fun fromSquare(picture: PixelSource, chosen: Square, tracked: Boolean): DetectedFace {
        val square = if (chosen.side < SMALLEST_CROP) chosen.copy(side = SMALLEST_CROP) else chosen
        clock.pre { squares.sample(picture, square) }
        val answer = (second ?: first).run(squares.tensor)
        val points = square.toPicture(answer.points)
        val template = square.toPicture(answer.template)
        return DetectedFace(points, template, square, disagreement(points, template), thumbnailOf(squares.tensor, size), tracked)
    }

    private fun disagreement(points: FloatArray, template: FloatArray): Double {
        val eyes = hypot(template[90] - template[72].toDouble(), template[91] - template[73].toDouble())
        var total = 0.0
        for (i in points.indices step 2) total += hypot(points[i] - template[i].toDouble(), points[i + 1] - template[i + 1].toDouble())
        return total / FACE_POINTS / maxOf(1e-6, eyes)
    }

    /** Whether a track still follows the face that it followed. */
    private fun holds(now: DetectedFace, before: DetectedFace, frame: PixelSource): Boolean {
        val new = squareFromPoints(now.pointsPx)
        val old = squareFromPoints(before.pointsPx)
        val growth = new.side / maxOf(old.side, 1e-6)
        val moved = hypot(new.x - old.x, new.y - old.y) / maxOf(old.side, 1e-6)
        val inside = new.x >= -0.5 && new.x < frame.width && new.y >= -0.5 && new.y < frame.height
        val steady = growth > 1 / LOST_GROWTH && growth < LOST_GROWTH && moved < LOST_SHIFT
        val sized = new.side >= SMALLEST_CROP && new.fits(longest(frame))
        val alike = likeness(now.thumbnail, before.thumbnail) >= LOST_LIKENESS
        return inside && steady && sized && alike && now.disagreement < LOST_DISAGREEMENT
    }

    private fun longest(picture: PixelSource): Int = maxOf(picture.width, picture.height)
}

/** Grey means of the blocks of a (1, 3, S, S) crop, S a multiple of 16. */
internal fun thumbnailOf(crop: FloatArray, size: Int): FloatArray {
    val block = size / THUMBNAIL
    val sums = FloatArray(THUMBNAIL * THUMBNAIL)
    for (i in crop.indices) {
        val pixel = i % (size * size)
        sums[pixel / size / block * THUMBNAIL + pixel % size / block] += crop[i]
    }
    for (i in sums.indices) sums[i] = sums[i] / (3 * block * block)
    return sums
}

/** Correlation of two thumbnails in [-1, 1]; 0 where one of them is flat. */
internal fun likeness(a: FloatArray, b: FloatArray): Double {
    val meanA = a.sumOf { it.toDouble() } / a.size
    val meanB = b.sumOf { it.toDouble() } / b.size
    var both = 0.0
    var squaresA = 0.0
    var squaresB = 0.0
    for (i in a.indices) {
        both += (a[i] - meanA) * (b[i] - meanB)
        squaresA += (a[i] - meanA) * (a[i] - meanA)
        squaresB += (b[i] - meanB) * (b[i] - meanB)
    }
    val length = sqrt(squaresA * squaresB)
    return if (length > 1e-6) both / length else 0.0
}

/** Intersection over union of a square, its turn left out, and a region. */
private fun overlap(square: Square, region: Region): Double {
    val left = square.x + 0.5 - square.side / 2
    val top = square.y + 0.5 - square.side / 2
    val width = minOf(left + square.side, region.left + region.width) - maxOf(left, region.left)
    val height = minOf(top + square.side, region.top + region.height) - maxOf(top, region.top)
    val common = maxOf(0.0, width) * maxOf(0.0, height)
    return common / (square.side * square.side + region.width * region.height - common)
}

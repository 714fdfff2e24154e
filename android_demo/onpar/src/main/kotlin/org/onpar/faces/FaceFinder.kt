package org.onpar

import kotlin.math.sqrt

/** What a judge tells apart, in the order of its logits. */
private val JUDGED = listOf("face", "background")

/** Score of the detector from which on no judge is asked. */
private const val SURE = 0.8f

/**
 * The second network of the detector's cascade: reference/pipelines/faces.py, refine.
 *
 * @param size side of the square that it sees, in pixels.
 * @param logits from the tensor of a square to logits of face and background.
 */
internal class FaceJudge(size: Int, private val threshold: Float, private val clock: StageClock, private val logits: (FloatArray) -> FloatArray) {
    private val crop = PicturePreprocessor(PreprocessSpec(size, size))

    /** A box of a lower score can't reach the threshold, whatever the judge says, and is not looked at. */
    val lowest = threshold * threshold

    /** The boxes of which the geometric mean of the detector's and the judge's score reaches the threshold, the surest first. */
    fun refine(found: List<FaceBox>, picture: PixelSource): List<FaceBox> {
        val judged =
            found.filter { it.score >= lowest }.map { box ->
                FaceBox(box.boxPx, sqrt(box.score * if (box.score < SURE) judge(box, picture) else 1f), box.pointsPx)
            }
        return judged.filter { it.score >= threshold }.sortedByDescending { it.score }
    }

    private fun judge(box: FaceBox, picture: PixelSource): Float {
        clock.pre { crop.sample(picture, squareOfBox(box.boxPx)) }
        return softmax(clock.inference { logits(crop.tensor) })[0]
    }

    companion object {
        fun of(bundle: Bundle, runner: Runner, clock: StageClock): FaceJudge =
            FaceJudge(bundle.manifest.preprocess.width, thresholdOf(bundle.manifest), clock) { output(runner.run(it), "logits") }

        fun demand(bundle: Bundle) {
            if (bundle.manifest.labels != JUDGED) {
                throw BadInput("${bundle.name} does not tell ${JUDGED.joinToString(" from ")}; give the detector's second network")
            }
        }
    }
}

/** The detector's boxes around the faces of a picture, judged where there is a judge. */
internal fun boxFinder(detector: Bundle, runner: Runner, clock: StageClock, judge: FaceJudge?): (PixelSource) -> List<FaceBox> {
    val whole = PicturePreprocessor(detector.manifest.preprocess)
    val lowest = judge?.lowest ?: thresholdOf(detector.manifest)
    return { picture ->
        val region = clock.pre { whole.run(picture) }
        val outputs = clock.inference { runner.run(whole.tensor) }
        val found = findFaces(output(outputs, "faces"), region, lowest)
        judge?.refine(found, picture) ?: found
    }
}

/** The squares around them that a network for faces sees first. */
internal fun faceFinder(detector: Bundle, runner: Runner, clock: StageClock, judge: FaceJudge? = null): FindFaces {
    val boxes = boxFinder(detector, runner, clock, judge)
    return FindFaces { picture -> boxes(picture).map { squareOfBox(it.boxPx) } }
}

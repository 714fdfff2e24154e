package org.onpar

/**
 * A face detector and the second network of its cascade: box, score and five points of every face, the surest first.
 *
 * [FaceDetector.fromBundles] opens one. The second network looks at each box that may be a face in the picture's own pixels.
 */
class FaceBoxPipeline internal constructor(detector: Bundle, judge: Bundle, runners: List<Runner>) : FacePipeline<FaceBoxes>(runners) {
    private val boxes = boxFinder(detector, runners[0], clock, FaceJudge.of(judge, runners[1], clock))

    override fun find(picture: PixelSource): FaceBoxes = FaceBoxes(boxes(picture))

    internal companion object {
        fun open(detector: Bundle, judge: Bundle, runners: RunnerFactory): FaceBoxPipeline {
            demand(detector, "FaceBoxes")
            FaceJudge.demand(judge)
            return FaceBoxPipeline(detector, judge, loadAll(listOf(detector, judge), runners))
        }
    }
}

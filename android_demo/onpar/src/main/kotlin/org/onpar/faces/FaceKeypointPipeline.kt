package org.onpar

/**
 * A face detector and one or two keypoint networks: every face of a picture, or faces followed through a video.
 *
 * [FaceKeypointDetector.fromBundles] opens one. Faces come largest first. In a video the detector runs only when a face is
 * lost and every [checkEvery] frames, so that a track that drifted onto something else ends and a new face is seen.
 */
class FaceKeypointPipeline internal constructor(
    detector: Bundle,
    keypoints: Bundle,
    judge: Bundle?,
    runners: List<Runner>,
    most: Int,
    checkEvery: Int,
    smooth: Boolean,
) : FacePipeline<List<DetectedFace>>(runners) {
    private val squares = faceFinder(detector, runners[0], clock, judge?.let { FaceJudge.of(it, runners.last(), clock) })
    private val networks =
        runners.subList(1, runners.size - if (judge == null) 0 else 1).map { runner -> PointNetwork { answer(keypoints, runner, it) } }
    private val tracker =
        FaceTracker(squares, networks[0], networks.getOrNull(1), keypoints.manifest.preprocess.width, most, checkEvery, smooth, clock)

    /** How often the detector ran since the video began. */
    val detectorRuns: Int get() = alone { tracker.detectorRuns }

    override fun find(picture: PixelSource): List<DetectedFace> = tracker.detect(picture)

    override fun follow(frame: PixelSource, timestampMs: Long): List<DetectedFace> = tracker.detectForVideo(frame, timestampMs)

    /** Forget the video so far: the next frame begins a new one, at any time. */
    fun reset() =
        alone {
            tracker.reset()
            forgetTime()
        }

    private fun answer(bundle: Bundle, runner: Runner, tensor: FloatArray): PointAnswer {
        val outputs = clock.inference { runner.run(tensor) }
        val entries = bundle.manifest.modelFiles[0].outputs
        val points = output(outputs, entries[0].name)
        return PointAnswer(points, if (entries.size > 1) output(outputs, entries[1].name) else points)
    }

    internal companion object {
        fun open(
            detector: Bundle,
            keypoints: Bundle,
            refined: Bundle?,
            judge: Bundle?,
            runners: RunnerFactory,
            most: Int,
            checkEvery: Int,
            smooth: Boolean,
        ): FaceKeypointPipeline {
            demand(detector, "FaceBoxes")
            judge?.let { FaceJudge.demand(it) }
            for (bundle in listOfNotNull(keypoints, refined)) demandFacePoints(bundle)
            val (height, width) = keypoints.manifest.preprocess.run { height to width }
            if (height != width || refined != null && refined.manifest.preprocess.run { this.height != height || this.width != width }) {
                throw BadInput("${keypoints.name} takes ${width}x$height pixels; the networks of one pipeline take squares of one size")
            }
            val opened = loadAll(listOfNotNull(detector, keypoints, refined, judge), runners)
            try {
                return FaceKeypointPipeline(detector, keypoints, judge, opened, most, checkEvery, smooth)
            } catch (error: Throwable) {
                opened.forEach { it.close() }
                throw error
            }
        }

        private fun demandFacePoints(bundle: Bundle) {
            demand(bundle, "Keypoints")
            val shape = bundle.manifest.modelFiles[0].outputs[0].shape
            if (shape != listOf(1, FACE_POINTS, 2)) throw BadInput("${bundle.name} gives points of shape $shape; the pipeline needs [1, $FACE_POINTS, 2]")
        }
    }
}

package org.onpar

import java.io.File

/** Box, score and five points of every face. */
class FaceDetector private constructor(bundle: Bundle, runner: Runner) : PictureTask<FaceBoxes>(bundle, runner, ::toFaceBoxes) {
    companion object : TaskFactory<FaceDetector>("FaceBoxes", ::FaceDetector) {
        /** With the second network of the detector's cascade, which judges its boxes: more small faces, fewer that are none. */
        fun fromBundles(
            detector: Bundle,
            refined: Bundle,
            runners: RunnerFactory = RunnerFactory(LiteRtRunner::load),
        ): FaceBoxPipeline = FaceBoxPipeline.open(detector, refined, runners)

        fun fromBundles(detector: File, refined: File): FaceBoxPipeline = fromBundles(Bundle.open(detector), Bundle.open(refined))
    }
}

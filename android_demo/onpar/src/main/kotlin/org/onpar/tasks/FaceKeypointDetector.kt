package org.onpar

import java.io.File

/**
 * Points on a face: x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0).
 *
 * [templatePointsPx] are those from the template alone; [pointsPx] again where the network has no template.
 */
class Keypoints(val pointsPx: FloatArray, val templatePointsPx: FloatArray, val region: Region)

fun toKeypoints(outputs: Tensors, context: Context): Keypoints {
    val names = context.manifest.modelFiles[0].outputs.map { it.name }
    val region = context.region
    val points = toPicture(output(outputs, names[0]), region)
    return Keypoints(points, if (names.size > 1) toPicture(output(outputs, names[1]), region) else points, region)
}

/** 68 points of the face in a box; without a box, of the face that fills the picture. */
class FaceKeypointDetector private constructor(bundle: Bundle, runner: Runner) :
    PictureTask<Keypoints>(bundle, runner, ::toKeypoints) {
    companion object : TaskFactory<FaceKeypointDetector>("Keypoints", ::FaceKeypointDetector) {
        /**
         * All faces without a box: a face detector, a keypoint network and, where there is one, the network that
         * refines its points.
         *
         * @param most faces to find or follow, the largest first.
         * @param checkEvery frames of a video after which the detector looks again.
         * @param smooth steady the points of videos, so that a still face's stand still; what is tracked stays as it is.
         * @param detectorRefined the second network of the detector's cascade, which judges its boxes.
         */
        fun fromBundles(
            detector: Bundle,
            keypoints: Bundle,
            refined: Bundle? = null,
            runners: RunnerFactory = RunnerFactory(LiteRtRunner::load),
            most: Int = 8,
            checkEvery: Int = 30,
            detectorRefined: Bundle? = null,
            smooth: Boolean = true,
        ): FaceKeypointPipeline =
            FaceKeypointPipeline.open(detector, keypoints, refined, detectorRefined, runners, most, checkEvery, smooth)

        fun fromBundles(detector: File, keypoints: File, refined: File? = null, detectorRefined: File? = null): FaceKeypointPipeline =
            fromBundles(
                Bundle.open(detector), Bundle.open(keypoints), refined?.let { Bundle.open(it) },
                detectorRefined = detectorRefined?.let { Bundle.open(it) },
            )
    }
}

package org.onpar

import java.io.File

/** A mesh of the face in a box; without a box, of the face that fills the picture. */
class FaceReconstructor private constructor(bundle: Bundle, runner: Runner, topology: FaceTopology) :
    PictureTask<FaceMesh>(bundle, runner, { outputs, context -> toFaceMesh(outputs, context, topology) }) {
    companion object : TaskFactory<FaceReconstructor>("FaceMesh", { bundle, runner -> FaceReconstructor(bundle, runner, FaceTopology.of(bundle)) }) {
        /**
         * All faces without a box: a face detector finds them.
         *
         * @param most faces, the largest first.
         * @param detectorRefined the second network of the detector's cascade, which judges its boxes.
         */
        fun fromBundles(
            detector: Bundle,
            face3d: Bundle,
            runners: RunnerFactory = RunnerFactory(LiteRtRunner::load),
            most: Int = 8,
            detectorRefined: Bundle? = null,
        ): FaceMeshPipeline = FaceMeshPipeline.open(detector, face3d, detectorRefined, runners, most)

        fun fromBundles(detector: File, face3d: File): FaceMeshPipeline = fromBundles(Bundle.open(detector), Bundle.open(face3d))
    }
}

package org.onpar

/**
 * A face detector and a network for face meshes: every face of a picture or frame, the largest first.
 *
 * [FaceReconstructor.fromBundles] opens one. The network looks at each face twice: at the detector's square, which is rough,
 * and at the square around the landmarks that it found there.
 */
class FaceMeshPipeline internal constructor(
    detector: Bundle,
    private val face3d: Bundle,
    judge: Bundle?,
    private val runners: List<Runner>,
    private val topology: FaceTopology,
    private val most: Int,
) : FacePipeline<List<FaceMesh>>(runners) {
    private val squares = faceFinder(detector, runners[0], clock, judge?.let { FaceJudge.of(it, runners[2], clock) })
    private val crop = PicturePreprocessor(face3d.manifest.preprocess)

    /** Of the first look, which is for its landmarks alone. */
    private val roughPx = FloatArray(3 * topology.vertexCount)

    override fun find(picture: PixelSource): List<FaceMesh> =
        squares.run(picture).sortedByDescending { it.width }.take(most).mapNotNull { reconstruct(picture, it) }

    /** Null where the landmarks are no face's. */
    private fun reconstruct(picture: PixelSource, rough: Region): FaceMesh? {
        fillVertices(look(picture, rough), context(picture, rough), roughPx)
        val region = regionAround(topology.landmarksPx(roughPx))
        val largest = LARGEST_SIDE_OF_PICTURE * maxOf(picture.width, picture.height)
        if (!(region.width > 0 && region.width <= largest)) return null
        return toFaceMesh(look(picture, region), context(picture, region), topology)
    }

    private fun look(picture: PixelSource, region: Region): Tensors {
        clock.pre { crop.sample(picture, region) }
        return clock.inference { runners[1].run(crop.tensor) }
    }

    private fun context(picture: PixelSource, region: Region) = Context(face3d.manifest, region, picture.width, picture.height)

    internal companion object {
        fun open(detector: Bundle, face3d: Bundle, judge: Bundle?, runners: RunnerFactory, most: Int): FaceMeshPipeline {
            demand(detector, "FaceBoxes")
            demand(face3d, "FaceMesh")
            judge?.let { FaceJudge.demand(it) }
            if (most < 1) throw BadInput("most is $most; allowed: 1 or more")
            val topology = FaceTopology.of(face3d)
            return FaceMeshPipeline(detector, face3d, judge, loadAll(listOfNotNull(detector, face3d, judge), runners), topology, most)
        }
    }
}

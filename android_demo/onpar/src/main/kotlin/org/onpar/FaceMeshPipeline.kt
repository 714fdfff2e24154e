package org.onpar

import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/**
 * A face detector and a network for face meshes: every face of a picture or frame.
 *
 * [FaceReconstructor.fromBundles] opens one. The network looks at each face twice: at the detector's square, which is rough,
 * and at the square around the landmarks that it found there. Calls from several threads run one after the other; closing
 * waits for the one that runs.
 */
class FaceMeshPipeline internal constructor(
    detector: Bundle,
    private val face3d: Bundle,
    judge: Bundle?,
    private val runners: List<Runner>,
    private val topology: FaceTopology,
    private val most: Int,
) : AutoCloseable {
    private val lock = ReentrantLock()
    private val clock = StageClock()
    private val find = faceFinder(detector, runners[0], clock, judge?.let { FaceJudge.of(it, runners[2], clock) })
    private val crop = PicturePreprocessor(face3d.manifest.preprocess)

    /** Of the first look, which is for its landmarks alone. */
    private val roughPx = FloatArray(3 * topology.vertexCount)
    private val backend = runners.map { it.backend }.distinct().joinToString()
    private var closed = false
    private var lastTimestampMs = Long.MIN_VALUE

    /** Image mode: every face, largest first. Every call is answered. */
    fun detect(picture: PixelSource): Detection<List<FaceMesh>> = lock.withLock { run(picture) }

    /** Video mode: null for a frame that is not newer than the last, or that comes while another is worked on. */
    fun detectForVideo(frame: PixelSource, timestampMs: Long): Detection<List<FaceMesh>>? {
        if (!lock.tryLock()) return null
        try {
            if (timestampMs <= lastTimestampMs) return null
            lastTimestampMs = timestampMs
            return run(frame)
        } finally {
            lock.unlock()
        }
    }

    /** Give the models' memory back; a call that runs is finished first, later ones are refused. */
    override fun close() =
        lock.withLock {
            if (!closed) runners.forEach { it.close() }
            closed = true
        }

    private fun run(picture: PixelSource): Detection<List<FaceMesh>> {
        if (closed) throw BadInput("the detector is closed; open the bundles again")
        clock.start()
        val faces = find.run(picture).sortedByDescending { it.width }.take(most).mapNotNull { reconstruct(picture, it) }
        return Detection(faces, clock.timings(), backend)
    }

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

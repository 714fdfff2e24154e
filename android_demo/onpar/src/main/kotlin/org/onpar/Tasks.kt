package org.onpar

import java.io.File
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

class Timings(val preMs: Double, val inferenceMs: Double, val postMs: Double)

/** A result with what it took. */
class Detection<T>(val value: T, val timings: Timings, val backend: String)

/**
 * One loaded model. Calls from several threads run one after the other; closing waits for the one that runs.
 *
 * A new task is a decoder in Postprocess.kt and a class of a few lines below.
 */
abstract class Task<I, T> internal constructor(
    val bundle: Bundle,
    private val runner: Runner,
    private val decode: (Tensors, Context) -> T,
) : AutoCloseable {
    private val lock = ReentrantLock()
    private var closed = false
    private var lastTimestampMs = Long.MIN_VALUE

    /** The input tensor; [region] is set to what it shows. */
    internal abstract fun prepare(input: I, box: Box?): Region

    internal abstract val tensor: FloatArray

    internal abstract fun widthOf(input: I): Int

    internal abstract fun heightOf(input: I): Int

    /** Image mode: every call is answered. */
    fun detect(input: I, box: Box? = null): Detection<T> = lock.withLock { run(input, box) }

    /** Video mode: null for a frame that is not newer than the last, or that comes while another is worked on. */
    fun detectForVideo(frame: I, timestampMs: Long, box: Box? = null): Detection<T>? {
        if (!lock.tryLock()) return null
        try {
            if (timestampMs <= lastTimestampMs) return null
            lastTimestampMs = timestampMs
            return run(frame, box)
        } finally {
            lock.unlock()
        }
    }

    /** Give the model's memory back; a call that runs is finished first, later ones are refused. */
    override fun close() =
        lock.withLock {
            if (!closed) runner.close()
            closed = true
        }

    private fun run(input: I, box: Box?): Detection<T> {
        if (closed) throw BadInput("the detector is closed; open the bundle again")
        val began = System.nanoTime()
        val region = prepare(input, box)
        val prepared = System.nanoTime()
        val outputs = runner.run(tensor)
        val inferred = System.nanoTime()
        val value = decode(outputs, Context(bundle.manifest, region, widthOf(input), heightOf(input)))
        val timings = Timings(milliseconds(began, prepared), milliseconds(prepared, inferred), milliseconds(inferred, System.nanoTime()))
        return Detection(value, timings, runner.backend)
    }

    private fun milliseconds(from: Long, to: Long): Double = (to - from) / 1e6
}

abstract class PictureTask<T> internal constructor(bundle: Bundle, runner: Runner, decode: (Tensors, Context) -> T) :
    Task<PixelSource, T>(bundle, runner, decode) {
    private val preprocessor = PicturePreprocessor(bundle.manifest.preprocess)
    override val tensor: FloatArray get() = preprocessor.tensor

    override fun prepare(input: PixelSource, box: Box?): Region = preprocessor.run(input, box)

    override fun widthOf(input: PixelSource): Int = input.width

    override fun heightOf(input: PixelSource): Int = input.height
}

abstract class DepthTask<T> internal constructor(bundle: Bundle, runner: Runner, decode: (Tensors, Context) -> T) :
    Task<DepthMap, T>(bundle, runner, decode) {
    private val preprocessor = DepthPreprocessor(bundle.manifest.preprocess)
    override val tensor: FloatArray get() = preprocessor.tensor

    override fun prepare(input: DepthMap, box: Box?): Region = preprocessor.run(input, box)

    override fun widthOf(input: DepthMap): Int = input.width

    override fun heightOf(input: DepthMap): Int = input.height
}

/** Opens a task's bundle and runner; each task's companion is one of these. */
abstract class TaskFactory<D : Task<*, *>> internal constructor(private val result: String, private val make: (Bundle, Runner) -> D) {
    fun fromBundle(bundle: Bundle, runners: RunnerFactory = RunnerFactory(LiteRtRunner::load)): D {
        demand(bundle, result)
        val runner = runners.load(bundle)
        try {
            return make(bundle, runner)
        } catch (error: Throwable) {
            runner.close()
            throw error
        }
    }

    fun fromBundle(folder: File): D = fromBundle(Bundle.open(folder))
}

internal fun demand(bundle: Bundle, result: String) {
    val given = bundle.manifest.postprocess.result
    if (given != result) throw BadInput("${bundle.name} gives $given; this class needs a bundle that gives $result")
}

/** What a picture shows. */
class ImageClassifier private constructor(bundle: Bundle, runner: Runner) :
    PictureTask<Classification>(bundle, runner, ::toClassification) {
    companion object : TaskFactory<ImageClassifier>("Classification", ::ImageClassifier)
}

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
        ): FaceKeypointPipeline =
            FaceKeypointPipeline.open(detector, keypoints, refined, detectorRefined, runners, most, checkEvery)

        fun fromBundles(detector: File, keypoints: File, refined: File? = null, detectorRefined: File? = null): FaceKeypointPipeline =
            fromBundles(
                Bundle.open(detector), Bundle.open(keypoints), refined?.let { Bundle.open(it) },
                detectorRefined = detectorRefined?.let { Bundle.open(it) },
            )
    }
}

/** Which pixels belong to the salient object. */
class SaliencySegmenter private constructor(bundle: Bundle, runner: Runner, scaler: MaskScaler) :
    PictureTask<Mask>(bundle, runner, { outputs, context -> toMask(outputs, context, scaler) }) {
    companion object : TaskFactory<SaliencySegmenter>("Mask", { bundle, runner -> SaliencySegmenter(bundle, runner, MaskScaler()) })
}

/** A solid from one depth map. */
class DepthVoxelizer private constructor(bundle: Bundle, runner: Runner) : DepthTask<VoxelGrid>(bundle, runner, ::toVoxelGrid) {
    companion object : TaskFactory<DepthVoxelizer>("VoxelGrid", ::DepthVoxelizer)
}

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

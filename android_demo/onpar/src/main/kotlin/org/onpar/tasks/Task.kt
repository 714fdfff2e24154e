package org.onpar

import java.io.File
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/**
 * One loaded model. Calls from several threads run one after the other; closing waits for the one that runs.
 *
 * A new task is a file beside this one: result type, decoder, class.
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
        bundle.manifest.preprocess // throws where the network takes no picture
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

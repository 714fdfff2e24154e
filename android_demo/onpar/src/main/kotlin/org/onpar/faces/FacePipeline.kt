package org.onpar

import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/**
 * Networks that look at a picture one after the other.
 *
 * Calls from several threads run one after the other; closing waits for the one that runs.
 */
abstract class FacePipeline<T> internal constructor(private val runners: List<Runner>) : AutoCloseable {
    private val lock = ReentrantLock()
    internal val clock = StageClock()
    private val backend = runners.map { it.backend }.distinct().joinToString()
    private var closed = false
    private var lastTimestampMs = Long.MIN_VALUE

    internal abstract fun find(picture: PixelSource): T

    /** The same of a frame, with what is known of the ones before. */
    internal open fun follow(frame: PixelSource, timestampMs: Long): T = find(frame)

    /** Image mode: every face. Every call is answered. */
    fun detect(picture: PixelSource): Detection<T> = lock.withLock { timed { find(picture) } }

    /** Video mode: null for a frame that is not newer than the last, or that comes while another is worked on. */
    fun detectForVideo(frame: PixelSource, timestampMs: Long): Detection<T>? {
        if (!lock.tryLock()) return null
        try {
            if (timestampMs <= lastTimestampMs) return null
            lastTimestampMs = timestampMs
            return timed { follow(frame, timestampMs) }
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

    /** Between two calls. */
    internal fun <R> alone(work: () -> R): R = lock.withLock(work)

    internal fun forgetTime() {
        lastTimestampMs = Long.MIN_VALUE
    }

    private inline fun timed(work: () -> T): Detection<T> {
        if (closed) throw BadInput("the detector is closed; open the bundles again")
        clock.start()
        val value = work()
        return Detection(value, clock.timings(), backend)
    }
}

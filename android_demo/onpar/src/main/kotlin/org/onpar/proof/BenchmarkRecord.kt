package org.onpar

import java.io.File
import org.json.JSONArray
import org.json.JSONObject

/** Where a record was taken; [kind] is `phone`, `emulator` or `host`: only a phone's milliseconds are a phone's. */
class Device(val name: String, val kind: String, val os: String) {
    val arch: String = System.getProperty("os.arch").orEmpty()
    val cores: Int = Runtime.getRuntime().availableProcessors()
}

/** A while without a pause, which heat and the scheduler slow down: medians of the first and the last tenth of the calls. */
class Sustained(val seconds: Double, val calls: Int, val firstP50Ms: Double, val lastP50Ms: Double)

/**
 * How long one artifact takes on this device: the record of sdk_build/bundle/records.py, schema version 2.
 *
 * A sample is one run of the model alone. Loads happen in this process, so that the file may be in the page cache.
 */
class BenchmarkRecord(
    private val bundle: Bundle,
    private val entry: ModelFile,
    private val runtimeVersion: String,
    private val device: Device,
    val samplesMs: List<Double>,
    val loadSamplesMs: List<Double>,
    private val peakMb: Double,
    private val modelMb: Double,
    private val thermal: String = "unknown",
    val sustained: Sustained? = null,
) {
    /** Milliseconds that a share of the runs stayed below, between samples as numpy does it. */
    fun quantile(share: Double): Double = quantile(samplesMs, share)

    fun toJson(): String {
        val place = JSONObject().put("name", device.name).put("kind", device.kind).put("os", device.os)
        return JSONObject()
            .put("bundle", bundle.manifest.id)
            .put("bundle_sha256", bundle.sha256)
            .put("model", bundle.manifest.model)
            .put("runtime", entry.runtime)
            .put("runtime_version", runtimeVersion)
            .put("precision", entry.precision)
            .put("delegate", "XNNPACK")
            .put("threads", 1)
            .put("device", place.put("arch", device.arch).put("cores", device.cores))
            .put("thermal", thermal)
            .put("warm_up", WARM_UP)
            .put("samples_ms", JSONArray(samplesMs))
            .put("load_samples_ms", JSONArray(loadSamplesMs))
            .put("peak_mb", peakMb)
            .put("model_mb", modelMb)
            .put("peers", JSONArray())
            .put("sustained", sustained?.let(::json) ?: JSONObject.NULL)
            .put("schema_version", 2)
            .toString(1)
    }

    private fun json(sustained: Sustained): JSONObject =
        JSONObject()
            .put("seconds", sustained.seconds)
            .put("calls", sustained.calls)
            .put("first_p50_ms", sustained.firstP50Ms)
            .put("last_p50_ms", sustained.lastP50Ms)

    companion object {
        private const val WARM_UP = 5
        private const val LOADS = 3

        /**
         * Time a bundle on its first golden input.
         *
         * @param sustainedSeconds run so long without a pause afterwards; 0: not at all.
         * @param thermal how hot the device is, asked at the end: `nominal`, `fair`, `serious`, `critical` or `unknown`.
         * @param progress called with the number of runs done, from this thread.
         */
        fun measure(
            bundle: Bundle,
            rounds: Int,
            device: Device,
            runtimeVersion: String,
            runners: RunnerFactory = RunnerFactory(LiteRtRunner::load),
            runtime: String = "litert",
            sustainedSeconds: Double = 0.0,
            thermal: () -> String = { "unknown" },
            progress: (Int) -> Unit = {},
        ): BenchmarkRecord {
            val entry = bundle.artifact(runtime) ?: throw BackendUnavailable("${bundle.name} holds nothing for $runtime; export it again")
            if (rounds < 1) throw BadInput("rounds is $rounds; allowed: 1 or more")
            val inputs = GoldenSelfTest.inputs(bundle, bundle.manifest.golden[0])
            val tensor = inputs.values.singleOrNull() as? FloatArray
            val call = { runner: Runner -> if (tensor == null) runner.runTensors(inputs) else runner.run(tensor) }
            // The peak of an earlier bundle is not this one's; a system that refuses keeps it.
            runCatching { File("/proc/self/clear_refs").writeText("5") }
            val before = memoryMb("VmRSS")
            val loads = List(LOADS) { milliseconds { runners.load(bundle).close() } }
            val samples = ArrayList<Double>(rounds)
            val sustained = runners.load(bundle).use { runner ->
                repeat(WARM_UP) { call(runner) }
                repeat(rounds) {
                    samples += milliseconds { call(runner) }
                    progress(it + 1)
                }
                if (sustainedSeconds > 0) sustain(sustainedSeconds) { call(runner) } else null
            }
            val peak = memoryMb("VmHWM")
            val added = maxOf(peak - before, 0.0)
            return BenchmarkRecord(bundle, entry, runtimeVersion, device, samples, loads, peak, added, thermal(), sustained)
        }

        private fun sustain(seconds: Double, work: () -> Unit): Sustained {
            val times = ArrayList<Double>()
            val end = System.nanoTime() + (seconds * 1e9).toLong()
            while (System.nanoTime() < end || times.isEmpty()) times += milliseconds(work)
            val tenth = maxOf(1, times.size / 10)
            return Sustained(seconds, times.size, quantile(times.take(tenth), 0.5), quantile(times.takeLast(tenth), 0.5))
        }

        private fun quantile(samples: List<Double>, share: Double): Double {
            val sorted = samples.sorted()
            val position = share * (sorted.size - 1)
            val low = position.toInt()
            val high = minOf(low + 1, sorted.size - 1)
            return sorted[low] + (sorted[high] - sorted[low]) * (position - low)
        }

        private inline fun milliseconds(work: () -> Unit): Double {
            val began = System.nanoTime()
            work()
            return (System.nanoTime() - began) / 1e6
        }

        /** A line of this process's status in MB, 0 where the system does not say: VmRSS now, VmHWM at most so far. */
        private fun memoryMb(name: String): Double =
            runCatching { File("/proc/self/status").readLines() }
                .getOrDefault(emptyList())
                .firstOrNull { it.startsWith(name) }
                ?.filter { it.isDigit() }
                ?.toDoubleOrNull()
                ?.div(1024) ?: 0.0
    }
}

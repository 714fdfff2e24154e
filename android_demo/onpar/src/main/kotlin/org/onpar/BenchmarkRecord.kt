package org.onpar

import java.io.File
import org.json.JSONArray
import org.json.JSONObject

/** Where a record was taken; [kind] is `phone` or `host`: a computer's milliseconds say nothing about a phone's. */
class Device(val name: String, val kind: String, val os: String) {
    val arch: String = System.getProperty("os.arch").orEmpty()
    val cores: Int = Runtime.getRuntime().availableProcessors()
}

/**
 * How long one artifact takes on this device: the record of sdk_build/records.py, schema version 2.
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
) {
    /** Milliseconds that a share of the runs stayed below, between samples as numpy does it. */
    fun quantile(share: Double): Double {
        val sorted = samplesMs.sorted()
        val position = share * (sorted.size - 1)
        val low = position.toInt()
        val high = minOf(low + 1, sorted.size - 1)
        return sorted[low] + (sorted[high] - sorted[low]) * (position - low)
    }

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
            .put("thermal", "unknown")
            .put("warm_up", WARM_UP)
            .put("samples_ms", JSONArray(samplesMs))
            .put("load_samples_ms", JSONArray(loadSamplesMs))
            .put("peak_mb", peakMb)
            .put("model_mb", modelMb)
            .put("peers", JSONArray())
            .put("sustained", JSONObject.NULL)
            .put("schema_version", 2)
            .toString(1)
    }

    companion object {
        private const val WARM_UP = 5
        private const val LOADS = 3

        /**
         * Time a bundle on its first golden input.
         *
         * @param progress called with the number of runs done, from this thread.
         */
        fun measure(
            bundle: Bundle,
            rounds: Int,
            device: Device,
            runtimeVersion: String,
            runners: RunnerFactory = RunnerFactory(LiteRtRunner::load),
            runtime: String = "litert",
            progress: (Int) -> Unit = {},
        ): BenchmarkRecord {
            val entry = bundle.artifact(runtime) ?: throw BackendUnavailable("${bundle.name} holds nothing for $runtime; export it again")
            if (rounds < 1) throw BadInput("rounds is $rounds; allowed: 1 or more")
            val tensor = GoldenSelfTest.preprocess(bundle, bundle.manifest.golden[0].raw)
            val before = memoryMb("VmRSS")
            val loads = List(LOADS) { milliseconds { runners.load(bundle).close() } }
            val samples = ArrayList<Double>(rounds)
            runners.load(bundle).use { runner ->
                repeat(WARM_UP) { runner.run(tensor) }
                repeat(rounds) {
                    samples += milliseconds { runner.run(tensor) }
                    progress(it + 1)
                }
            }
            val peak = memoryMb("VmHWM")
            return BenchmarkRecord(bundle, entry, runtimeVersion, device, samples, loads, peak, maxOf(peak - before, 0.0))
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

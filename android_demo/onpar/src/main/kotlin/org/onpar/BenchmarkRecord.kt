package org.onpar

import org.json.JSONArray
import org.json.JSONObject

/**
 * How long one artifact takes on this device: the fields of benchmarks/records.py, so that both can stand in one table.
 *
 * A sample is one run of the model alone, as there; [processMs] holds preprocessing and postprocessing beside it.
 */
class BenchmarkRecord(
    val bundle: String,
    val model: String,
    val runtime: String,
    val precision: String,
    val device: String,
    val samplesMs: List<Double>,
    val processMs: List<Double>,
    val loadMs: Double,
    val peakMb: Double,
) {
    /** Milliseconds that a share of the runs stayed below, between samples as numpy does it. */
    fun quantile(share: Double): Double {
        val sorted = samplesMs.sorted()
        val position = share * (sorted.size - 1)
        val low = position.toInt()
        val high = minOf(low + 1, sorted.size - 1)
        return sorted[low] + (sorted[high] - sorted[low]) * (position - low)
    }

    fun toJson(): String =
        JSONObject()
            .put("bundle", bundle)
            .put("model", model)
            .put("runtime", runtime)
            .put("precision", precision)
            .put("threads", 1)
            .put("device", device)
            .put("samples_ms", JSONArray(samplesMs))
            .put("process_ms", JSONArray(processMs))
            .put("peer_samples_ms", JSONObject())
            .put("load_ms", loadMs)
            .put("peak_mb", peakMb)
            .put("schema_version", 1)
            .put("p50_ms", quantile(0.5))
            .put("p90_ms", quantile(0.9))
            .put("p99_ms", quantile(0.99))
            .put("peers", JSONObject())
            .toString(1)

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
            device: String,
            runners: RunnerFactory = RunnerFactory(LiteRtRunner::load),
            runtime: String = "litert",
            progress: (Int) -> Unit = {},
        ): BenchmarkRecord {
            val entry = bundle.artifact(runtime) ?: throw BackendUnavailable("${bundle.name} holds nothing for $runtime; export it again")
            if (rounds < 1) throw BadInput("rounds is $rounds; allowed: 1 or more")
            val loads = List(LOADS) { milliseconds { runners.load(bundle).close() } }.sorted()
            val raw = bundle.manifest.golden[0].raw
            val samples = ArrayList<Double>(rounds)
            val process = ArrayList<Double>(rounds)
            runners.load(bundle).use { runner ->
                for (round in -WARM_UP until rounds) {
                    lateinit var tensor: FloatArray
                    val before = milliseconds { tensor = GoldenSelfTest.preprocess(bundle, raw) }
                    val run = milliseconds { runner.run(tensor) }
                    if (round < 0) continue
                    samples += run
                    process += before
                    progress(round + 1)
                }
            }
            val manifest = bundle.manifest
            return BenchmarkRecord(manifest.id, manifest.model, runtime, entry.precision, device, samples, process, loads[LOADS / 2], peakMb())
        }

        private inline fun milliseconds(work: () -> Unit): Double {
            val began = System.nanoTime()
            work()
            return (System.nanoTime() - began) / 1e6
        }

        /** Largest resident memory of this process, 0 where the system does not say. */
        private fun peakMb(): Double =
            runCatching { java.io.File("/proc/self/status").readLines() }
                .getOrDefault(emptyList())
                .firstOrNull { it.startsWith("VmHWM") }
                ?.filter { it.isDigit() }
                ?.toDoubleOrNull()
                ?.div(1024) ?: 0.0
    }
}

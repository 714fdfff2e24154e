package org.onpar.demo

import android.app.Activity
import android.app.Instrumentation
import java.io.File
import org.onpar.BenchmarkRecord
import org.onpar.Bundle
import org.onpar.OnParException
import org.onpar.android.thermalState
import org.onpar.android.thisPhone

/**
 * Times every bundle that `python -m benchmarks.collect --adb` pushed, without a screen.
 *
 * `adb shell am instrument -w org.onpar.demo/org.onpar.demo.LatencyBenchmark` reads `files/bundles` and writes one
 * record per bundle to `files/records`, both in the app's folder on shared storage. Each takes a minute: after the burst
 * the model runs without a pause, which shows what heat costs.
 */
class LatencyBenchmark : Instrumentation() {
    override fun onCreate(arguments: android.os.Bundle?) {
        super.onCreate(arguments)
        start()
    }

    override fun onStart() {
        val said = android.os.Bundle()
        val code = try {
            said.putString(REPORT_KEY_STREAMRESULT, measureAll().joinToString("\n", postfix = "\n"))
            Activity.RESULT_OK
        } catch (error: OnParException) {
            said.putString(REPORT_KEY_STREAMRESULT, "FAILURES: ${error.message}\n")
            Activity.RESULT_CANCELED
        }
        finish(code, said)
    }

    private fun measureAll(): List<String> {
        val files = requireNotNull(targetContext.getExternalFilesDir(null))
        val records = File(files, "records").apply { mkdirs() }
        val version = targetContext.getString(R.string.litert_version)
        return File(files, "bundles").listFiles().orEmpty().sorted().map { folder ->
            val record = BenchmarkRecord.measure(
                Bundle.open(folder), ROUNDS, thisPhone(), version,
                sustainedSeconds = SUSTAINED_SECONDS, thermal = { thermalState(targetContext) },
            )
            File(records, "${folder.name}.json").writeText(record.toJson())
            "%s p50 %.2f ms".format(folder.name, record.quantile(0.5))
        }
    }

    private companion object {
        const val ROUNDS = 200
        const val SUSTAINED_SECONDS = 60.0
    }
}

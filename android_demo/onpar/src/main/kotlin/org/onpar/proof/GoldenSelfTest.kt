package org.onpar

import kotlin.math.abs

class SelfTestCheck(val name: String, val value: Double, val limit: Double, val largerIsBetter: Boolean) {
    val passed: Boolean get() = if (largerIsBetter) value >= limit else value <= limit
}

class SelfTestReport(val bundle: String, val backend: String, val checks: List<SelfTestCheck>) {
    val passed: Boolean get() = checks.all { it.passed }
}

/** Replays a bundle's proof on this device: raw golden input, own preprocessing, real model, the bundle's own limits. */
object GoldenSelfTest {
    /** In units of the input, [0, 1]. */
    const val PREPROCESS_LIMIT = 5e-5

    fun run(bundle: Bundle, runners: RunnerFactory = RunnerFactory(LiteRtRunner::load), runtime: String = "litert"): SelfTestReport {
        val artifact = bundle.artifact(runtime) ?: throw BackendUnavailable("${bundle.name} holds nothing for $runtime; export it again")
        runners.load(bundle).use { runner ->
            val checks = bundle.manifest.golden.flatMap { replay(bundle, it, artifact, runner) }
            return SelfTestReport(bundle.manifest.id, runner.backend, keepWorst(checks))
        }
    }

    private fun replay(bundle: Bundle, case: GoldenCase, artifact: ModelFile, runner: Runner): List<SelfTestCheck> {
        val tensor = preprocess(bundle, case.raw)
        val (_, goldenInput) = golden(bundle, case, artifact.inputs[0].name)
        val outputs = runner.run(tensor)
        val limits = bundle.manifest.limits.filter { it.runtime == artifact.executedHereBy }
        return listOf(SelfTestCheck("preprocessing", largestDifference(tensor, goldenInput), PREPROCESS_LIMIT, false)) +
            limits.map { limit ->
                val (stored, expected) = golden(bundle, case, limit.output)
                val metric = Metric.named(limit.metric)
                val value = metric.compute(thin(outputs.getValue(limit.output), stored.stride), expected, stored.tensor.shape.last())
                SelfTestCheck("${limit.output}: ${limit.metric}", value, limit.limit, metric.largerIsBetter)
            }
    }

    /** A raw golden file through this library's own preprocessing. */
    fun preprocess(bundle: Bundle, raw: String): FloatArray {
        val spec = bundle.manifest.preprocess
        if (spec.color == "DEPTH") return DepthPreprocessor(spec).also { it.run(Png.depthMap(bundle.file(raw))) }.tensor
        return PicturePreprocessor(spec).also { it.run(Png.picture(bundle.file(raw))) }.tensor
    }

    private fun golden(bundle: Bundle, case: GoldenCase, name: String): Pair<GoldenTensor, FloatArray> {
        val tensor =
            case.tensors.firstOrNull { it.tensor.name == name }
                ?: throw BundleInvalid("${bundle.name} has no golden tensor '$name'; export the bundle again")
        return tensor to bundle.golden(tensor)
    }

    private fun thin(values: FloatArray, stride: Int): FloatArray =
        if (stride == 1) values else FloatArray((values.size + stride - 1) / stride) { values[it * stride] }

    private fun keepWorst(checks: List<SelfTestCheck>): List<SelfTestCheck> =
        checks.groupBy { it.name }.values.map { same ->
            if (same[0].largerIsBetter) same.minBy { it.value } else same.maxBy { it.value }
        }

    private fun largestDifference(a: FloatArray, b: FloatArray): Double {
        if (a.size != b.size) return Double.POSITIVE_INFINITY
        return a.indices.maxOf { i -> abs(a[i].toDouble() - b[i]).let { if (it.isNaN()) Double.POSITIVE_INFINITY else it } }
    }
}

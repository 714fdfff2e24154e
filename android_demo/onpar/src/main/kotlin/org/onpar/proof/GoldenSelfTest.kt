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
        val inputs = inputs(bundle, case)
        val checks = ArrayList<SelfTestCheck>()
        if (bundle.manifest.takesPicture) {
            val first = bundle.manifest.inputs[0].name
            val difference = largestDifference(inputs.getValue(first) as FloatArray, golden(bundle, case, first).second as FloatArray)
            checks += SelfTestCheck("preprocessing", difference, PREPROCESS_LIMIT, false)
        }
        val outputs = runner.runTensors(inputs)
        for (limit in bundle.manifest.limits.filter { it.runtime == artifact.executedHereBy }) {
            val (stored, expected) = golden(bundle, case, limit.output)
            val metric = Metric.named(limit.metric)
            val shape = if (stored.stride == 1) stored.tensor.shape else listOf(countOf(expected))
            val value = metric.compute(numbers(outputs.getValue(limit.output), stored.stride), numbers(expected), shape)
            checks += SelfTestCheck("${limit.output}: ${limit.metric}", value, limit.limit, metric.largerIsBetter)
        }
        return checks
    }

    /** The inputs of a golden case: a picture or depth map through this library's own preprocessing, tensors as they are. */
    internal fun inputs(bundle: Bundle, case: GoldenCase): NamedValues {
        val manifest = bundle.manifest
        val stored = manifest.inputs.associate { it.name to golden(bundle, case, it.name).second }
        return if (manifest.takesPicture) stored + (manifest.inputs[0].name to preprocess(bundle, case.raw)) else stored
    }

    /** A raw golden file through this library's own preprocessing. */
    fun preprocess(bundle: Bundle, raw: String): FloatArray {
        val spec = bundle.manifest.preprocess
        if (spec.color == "DEPTH") return DepthPreprocessor(spec).also { it.run(Png.depthMap(bundle.file(raw))) }.tensor
        return PicturePreprocessor(spec).also { it.run(Png.picture(bundle.file(raw))) }.tensor
    }

    private fun golden(bundle: Bundle, case: GoldenCase, name: String): Pair<GoldenTensor, Any> {
        val tensor =
            case.tensors.firstOrNull { it.tensor.name == name }
                ?: throw BundleInvalid("${bundle.name} has no golden tensor '$name'; export the bundle again")
        return tensor to bundle.golden(tensor)
    }

    /** Every stride-th value. */
    private fun numbers(values: Any, stride: Int = 1): DoubleArray =
        DoubleArray((countOf(values) + stride - 1) / stride) { numberAt(values, it * stride) }

    private fun keepWorst(checks: List<SelfTestCheck>): List<SelfTestCheck> =
        checks.groupBy { it.name }.values.map { same ->
            if (same[0].largerIsBetter) same.minBy { it.value } else same.maxBy { it.value }
        }

    private fun largestDifference(a: FloatArray, b: FloatArray): Double {
        if (a.size != b.size) return Double.POSITIVE_INFINITY
        return a.indices.maxOf { i -> abs(a[i].toDouble() - b[i]).let { if (it.isNaN()) Double.POSITIVE_INFINITY else it } }
    }
}

package org.onpar

/** What runs an artifact. One thread at a time; the task classes see to that. */
interface Runner : AutoCloseable {
    /** For people: runtime and processor. */
    val backend: String

    /** Outputs by name for the one input tensor; the arrays are overwritten by the next run. */
    fun run(input: FloatArray): Tensors

    /**
     * Any inputs and outputs by name, in the network's own types; the arrays are the caller's.
     *
     * A runner that does not say otherwise takes one float32 input and gives floats.
     */
    fun runTensors(inputs: NamedValues): NamedValues {
        val only = inputs.values.singleOrNull() as? FloatArray ?: throw BadInput("$backend takes one float32 input here; use LiteRtRunner")
        return run(only).mapValues { it.value.copyOf() }
    }

    override fun close()
}

/** Opens a runner for a bundle; [LiteRtRunner.load] and [ExecuTorchRunner.load] are the two there are. */
fun interface RunnerFactory {
    fun load(bundle: Bundle): Runner
}

/** Refuse an artifact that a runner for one float32 input and float32 outputs can't run. */
fun demandFloats(entry: ModelFile, backend: String) {
    val tensors = entry.inputs + entry.outputs
    if (entry.inputs.size == 1 && tensors.all { it.dtype == DType.FLOAT32 }) return
    val found = tensors.joinToString { "'${it.name}' ${it.dtype.text}" }
    throw BackendUnavailable("${entry.file} has $found; $backend runs one float32 input here: use LiteRtRunner")
}

/** A runner for each bundle; what was loaded is closed where another can't be. */
internal fun loadAll(bundles: List<Bundle>, runners: RunnerFactory): List<Runner> {
    val opened = ArrayList<Runner>()
    try {
        for (bundle in bundles) opened.add(runners.load(bundle))
        return opened
    } catch (error: Throwable) {
        opened.forEach { it.close() }
        throw error
    }
}

package org.onpar

/** What runs an artifact. One thread at a time; the task classes see to that. */
interface Runner : AutoCloseable {
    /** For people: runtime and processor. */
    val backend: String

    /** Outputs by name for the one input tensor; the arrays are overwritten by the next run. */
    fun run(input: FloatArray): Tensors

    override fun close()
}

/** Opens a runner for a bundle; [LiteRtRunner.load] and [ExecuTorchRunner.load] are the two there are. */
fun interface RunnerFactory {
    fun load(bundle: Bundle): Runner
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

package org.onpar

import java.io.File
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/** Any bundle, without a meaning: tensors by name in, tensors by name out. Calls from several threads run one after the other. */
class TensorModel private constructor(val bundle: Bundle, private val runner: Runner) : AutoCloseable {
    private val lock = ReentrantLock()
    private var closed = false

    /** Name, shape and type of what [run] takes. */
    val inputs: List<TensorEntry> get() = bundle.manifest.inputs

    /** Name, shape and type of what [run] gives. */
    val outputs: List<TensorEntry> get() = bundle.manifest.outputs

    /** Outputs by name. A picture counts as any other tensor. */
    fun run(inputs: NamedValues): Detection<NamedValues> =
        lock.withLock {
            if (closed) throw BadInput("the model is closed; open the bundle again")
            checkInputs(this.inputs, inputs)
            val began = System.nanoTime()
            val outputs = runner.runTensors(inputs)
            Detection(outputs, Timings(0.0, (System.nanoTime() - began) / 1e6, 0.0), runner.backend)
        }

    /** Give the model's memory back; a call that runs is finished first, later ones are refused. */
    override fun close() =
        lock.withLock {
            if (!closed) runner.close()
            closed = true
        }

    companion object {
        fun fromBundle(bundle: Bundle, runners: RunnerFactory = RunnerFactory(LiteRtRunner::load)): TensorModel =
            TensorModel(bundle, runners.load(bundle))

        fun fromBundle(folder: File): TensorModel = fromBundle(Bundle.open(folder))
    }
}

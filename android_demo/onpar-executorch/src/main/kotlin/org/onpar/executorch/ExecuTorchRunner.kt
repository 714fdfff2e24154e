package org.onpar.executorch

import java.io.File
import org.onpar.BackendUnavailable
import org.onpar.BadInput
import org.onpar.Bundle
import org.onpar.ModelFile
import org.onpar.Runner
import org.onpar.Tensors
import org.onpar.demandFloats
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/** ExecuTorch with XNNPACK, from the `executorch-android` library. */
class ExecuTorchRunner private constructor(private val module: Module, private val entry: ModelFile) : Runner {
    override val backend: String = "ExecuTorch XNNPACK"
    private val shape = entry.inputs[0].shape.map { it.toLong() }.toLongArray()
    private var closed = false

    override fun run(input: FloatArray): Tensors {
        if (closed) throw BadInput("the runner is closed; open the bundle again")
        val results = module.forward(EValue.from(Tensor.fromBlob(input, shape)))
        if (results.size != entry.outputs.size) {
            throw BackendUnavailable("ExecuTorch gave ${results.size} outputs for ${entry.file}; needed: ${entry.outputs.size}; export again")
        }
        return entry.outputs.withIndex().associate { (i, output) -> output.name to results[i].toTensor().dataAsFloatArray }
    }

    override fun close() {
        if (!closed) module.destroy()
        closed = true
    }

    companion object {
        /** @param cache folder for the .pte file, which ExecuTorch reads by its path: `context.cacheDir`. */
        fun load(bundle: Bundle, cache: File): ExecuTorchRunner {
            val entry =
                bundle.artifact("executorch")
                    ?: throw BackendUnavailable("${bundle.name} holds no .pte file; export it with --target android")
            demandFloats(entry, "ExecuTorch")
            val file = File(cache, "${bundle.manifest.id}-${bundle.manifest.model}.pte")
            file.writeBytes(bundle.file(entry.file))
            try {
                return ExecuTorchRunner(Module.load(file.path), entry)
            } catch (error: RuntimeException) {
                throw BackendUnavailable("ExecuTorch can't load ${entry.file} (${error.message}); it needs ${entry.minimumRuntime}")
            }
        }
    }
}

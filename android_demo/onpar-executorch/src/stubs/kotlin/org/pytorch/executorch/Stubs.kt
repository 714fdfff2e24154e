// Signatures of executorch-android 1.4 as far as ExecuTorchRunner uses them, written from its documentation. They are
// compiled where there is no Maven repository, so that the runner is type-checked; an app never gets them.
@file:Suppress("UNUSED_PARAMETER", "unused")

package org.pytorch.executorch

class Module private constructor() {
    fun forward(vararg inputs: EValue): Array<EValue> = throw UnsupportedOperationException()

    fun destroy(): Unit = throw UnsupportedOperationException()

    companion object {
        @JvmStatic fun load(path: String): Module = throw UnsupportedOperationException()
    }
}

class EValue private constructor() {
    fun toTensor(): Tensor = throw UnsupportedOperationException()

    companion object {
        @JvmStatic fun from(tensor: Tensor): EValue = throw UnsupportedOperationException()
    }
}

class Tensor private constructor() {
    val dataAsFloatArray: FloatArray get() = throw UnsupportedOperationException()

    companion object {
        @JvmStatic fun fromBlob(data: FloatArray, shape: LongArray): Tensor = throw UnsupportedOperationException()
    }
}

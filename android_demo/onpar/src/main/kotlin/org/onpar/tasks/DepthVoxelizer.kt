package org.onpar

import kotlin.math.cbrt
import kotlin.math.roundToInt

/** A solid on a cubic grid: slices from the viewer away, rows down, columns right; filled at or above [threshold]. */
class VoxelGrid(val size: Int, val occupancy: FloatArray, val threshold: Float) {
    val filledVoxels: Int get() = occupancy.count { it >= threshold }
}

fun toVoxelGrid(outputs: Tensors, context: Context): VoxelGrid {
    val occupancy = output(outputs, "occupancy").copyOf()
    return VoxelGrid(cbrt(occupancy.size.toDouble()).roundToInt(), occupancy, thresholdOf(context.manifest))
}

/** A solid from one depth map. */
class DepthVoxelizer private constructor(bundle: Bundle, runner: Runner) : DepthTask<VoxelGrid>(bundle, runner, ::toVoxelGrid) {
    companion object : TaskFactory<DepthVoxelizer>("VoxelGrid", ::DepthVoxelizer)
}

import Foundation

/// A solid on a cubic grid: slices from the viewer away, rows down, columns right; filled at or above the threshold.
public struct VoxelGrid: Sendable {
    public let size: Int
    public let occupancy: [Float]
    public let threshold: Float
    public var filledVoxels: Int { occupancy.lazy.filter { $0 >= threshold }.count }
}

/// A solid from one depth map.
public typealias DepthVoxelizer = Detector<DepthMap, VoxelGrid>

extension Detector where Input == DepthMap, Value == VoxelGrid {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> DepthVoxelizer {
        try demand("VoxelGrid", of: bundle)
        let spec = try bundle.manifest.preprocess
        return DepthVoxelizer(bundle, try runner(bundle), DepthPreprocessor(spec), toVoxelGrid)
    }
}

func toVoxelGrid(_ outputs: Tensors, _ context: Context) throws -> VoxelGrid {
    let occupancy = try output(outputs, "occupancy")
    let size = Int(cbrt(Double(occupancy.count)).rounded())
    return VoxelGrid(size: size, occupancy: occupancy, threshold: try thresholdOf(context.manifest))
}

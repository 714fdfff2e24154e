/// How far things are, row by row on the network's own grid, which covers `region` of the picture.
public struct EstimatedDepth: Sendable {
    public let values: [Float]
    public let rows: Int
    public let columns: Int
    public let region: Region
    /// `relative_inverse_depth` (nearer is larger), `relative_depth` (nearer is smaller) or `metres`.
    public let unit: String

    /// Values of a picture's pixels; NaN outside the region.
    public func inPicture(width: Int, height: Int) -> [Float] {
        let grid = Grid(values: values, rows: rows, columns: columns)
        return GridScaler().scale(grid, region, width, height, outside: .nan)
    }

    /// From 0, the farthest, to 1, the nearest.
    public var nearness: [Float] {
        let low = values.min() ?? 0
        let range = (values.max() ?? 0) - low
        let nearIsLarge = unit == "relative_inverse_depth"
        return values.map {
            let share = ($0 - low) / (range == 0 ? 1 : range)
            return nearIsLarge ? share : 1 - share
        }
    }
}

/// How far every pixel of one picture is.
public typealias DepthEstimator = Detector<any PixelSource, EstimatedDepth>

extension Detector where Input == any PixelSource, Value == EstimatedDepth {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> DepthEstimator {
        try openTask(bundle, "Depth", runner, toEstimatedDepth)
    }
}

/// The map over the region that the network saw: reference/tasks/depth_estimation.py.
func toEstimatedDepth(_ outputs: Tensors, _ context: Context) throws -> EstimatedDepth {
    let tensor = try entry(context.manifest, 0)
    let sides = tensor.shape.suffix(2)
    return EstimatedDepth(
        values: try output(outputs, tensor.name), rows: sides.first!, columns: sides.last!, region: context.region,
        unit: tensor.unit)
}

/// The salient part of a picture: one value in [0, 1] for each of its pixels, row by row.
public struct Mask: Sendable {
    public let width: Int
    public let height: Int
    public let values: [Float]
    public let threshold: Float

    /// Share of the picture at or above the threshold.
    public var share: Double { Double(values.lazy.filter { $0 >= threshold }.count) / Double(values.count) }
}

/// Which pixels belong to the salient object.
public typealias SaliencySegmenter = Detector<any PixelSource, Mask>

extension Detector where Input == any PixelSource, Value == Mask {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> SaliencySegmenter {
        let scaler = GridScaler()
        return try openTask(bundle, "Mask", runner) { try toMask($0, $1, scaler) }
    }
}

func toMask(_ outputs: Tensors, _ context: Context, _ scaler: GridScaler = GridScaler()) throws -> Mask {
    let (spec, width, height) = (try context.manifest.preprocess, context.pictureWidth, context.pictureHeight)
    let mask = Grid(
        values: try output(outputs, context.manifest.modelFiles[0].outputs[0].name), rows: spec.height,
        columns: spec.width)
    return Mask(
        width: width, height: height, values: scaler.scale(mask, context.region, width, height, outside: 0),
        threshold: try thresholdOf(context.manifest))
}

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
        let scaler = MaskScaler()
        return try openTask(bundle, "Mask", runner) { try toMask($0, $1, scaler) }
    }
}

func toMask(_ outputs: Tensors, _ context: Context, _ scaler: MaskScaler = MaskScaler()) throws -> Mask {
    let values = scaler.scale(try output(outputs, context.manifest.modelFiles[0].outputs[0].name), context)
    return Mask(
        width: context.pictureWidth, height: context.pictureHeight, values: values,
        threshold: try thresholdOf(context.manifest))
}

/// Scales masks to pictures, bilinearly; keeps its memory. Edge values repeat inside the region; 0 where the network did
/// not look. One thread at a time: its detector sees to that.
final class MaskScaler: @unchecked Sendable {
    /// For each pixel of a row the value left of it, -1 outside the region, and how far it lies towards the next one.
    private var lefts: [Int] = []
    private var parts: [Float] = []
    private var row: [Float] = []

    func scale(_ mask: [Float], _ context: Context) -> [Float] {
        let (region, spec) = (context.region, context.manifest.preprocess)
        let (width, height) = (context.pictureWidth, context.pictureHeight)
        prepare(spec.width, region, width)
        return [Float](unsafeUninitializedCapacity: width * height) { values, count in
            count = width * height
            for y in 0..<height {
                let to = UnsafeMutableBufferPointer(rebasing: values[y * width..<(y + 1) * width])
                let position = position(y, region.top, region.height, spec.height)
                if position < 0 {
                    to.initialize(repeating: 0)
                } else {
                    blendRows(mask, spec.width, spec.height, position)
                    writeRow(to.baseAddress!, width)
                }
            }
        }
    }

    private func writeRow(_ to: UnsafeMutablePointer<Float>, _ width: Int) {
        lefts.withUnsafeBufferPointer { lefts in
            parts.withUnsafeBufferPointer { parts in
                row.withUnsafeBufferPointer { row in
                    for x in 0..<width {
                        let left = lefts[x]
                        let value = left < 0 ? 0 : row[left] + parts[x] * (row[left + 1] - row[left])
                        (to + x).initialize(to: value)
                    }
                }
            }
        }
    }

    private func prepare(_ columns: Int, _ region: Region, _ width: Int) {
        if lefts.count < width {
            lefts = Array(repeating: 0, count: width)
            parts = Array(repeating: 0, count: width)
        }
        // One value more, the last again: the rightmost pixels have a next one, too.
        if row.count != columns + 1 { row = Array(repeating: 0, count: columns + 1) }
        for x in 0..<width {
            let position = position(x, region.left, region.width, columns)
            lefts[x] = position < 0 ? -1 : Int(position)
            parts[x] = Float(position - Double(lefts[x]))
        }
    }

    /// Two rows of the mask become one first: the picture has more pixels.
    private func blendRows(_ mask: [Float], _ columns: Int, _ rows: Int, _ position: Double) {
        let top = Int(position)
        let (upper, lower) = (top * columns, min(top + 1, rows - 1) * columns)
        let down = Float(position - Double(top))
        for x in 0..<columns { row[x] = mask[upper + x] + down * (mask[lower + x] - mask[upper + x]) }
        row[columns] = row[columns - 1]
    }

    /// Place of a pixel's centre among the mask's values, -1 outside the region.
    private func position(_ pixel: Int, _ start: Double, _ length: Double, _ size: Int) -> Double {
        let fraction = (Double(pixel) + 0.5 - start) / length
        return fraction < 0 || fraction > 1 ? -1 : min(max(fraction * Double(size) - 0.5, 0), Double(size - 1))
    }
}

import Foundation

public typealias Tensors = [String: [Float]]

/// What a decoder may look at besides the tensors.
struct Context {
    let manifest: Manifest
    let region: Region
    let pictureWidth: Int
    let pictureHeight: Int
}

public struct Score: Sendable {
    public let label: String
    public let probability: Float
}

/// What a picture shows; `scores` holds every class, most probable first.
public struct Classification: Sendable {
    public let scores: [Score]
    public var label: String { scores[0].label }
    public var score: Float { scores[0].probability }
}

/// A face in a picture.
public struct FaceBox: Sendable {
    /// In picture pixels, the picture's outer corner at (0, 0); may reach beyond the picture.
    public let x0, y0, x1, y1: Double
    public let score: Float
    /// Centres of the eyes, tip of the nose, corners of the mouth, the image's left first: x, y, x, y, ... in picture
    /// pixels, the centre of the first pixel at (0, 0).
    public let pointsPx: [Float]
}

/// Faces in a picture, the most certain one first.
public struct FaceBoxes: Sendable {
    public let faces: [FaceBox]
}

/// Points on a face: x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0).
public struct Keypoints: Sendable {
    public let pointsPx: [Float]
    /// Likewise, from the template alone; the same points where the network has no template.
    public let templatePointsPx: [Float]
    public let region: Region
}

/// The salient part of a picture: one value in [0, 1] for each of its pixels, row by row.
public struct Mask: Sendable {
    public let width: Int
    public let height: Int
    public let values: [Float]
    public let threshold: Float

    /// Share of the picture at or above the threshold.
    public var share: Double { Double(values.lazy.filter { $0 >= threshold }.count) / Double(values.count) }
}

/// A solid on a cubic grid: slices from the viewer away, rows down, columns right; filled at or above the threshold.
public struct VoxelGrid: Sendable {
    public let size: Int
    public let occupancy: [Float]
    public let threshold: Float
    public var filledVoxels: Int { occupancy.lazy.filter { $0 >= threshold }.count }
}

func toClassification(_ outputs: Tensors, _ context: Context) throws -> Classification {
    let probabilities = softmax(try output(outputs, "logits"))
    let labels = context.manifest.labels
    guard !labels.isEmpty, labels.count == probabilities.count else {
        throw OnParError.bundleInvalid(
            "\(context.manifest.id) has \(labels.count) labels for \(probabilities.count) classes; export again")
    }
    // Equal scores keep the order of the labels.
    let order = probabilities.indices.sorted { (probabilities[$0], $1) > (probabilities[$1], $0) }
    return Classification(scores: order.map { Score(label: labels[$0], probability: probabilities[$0]) })
}

func toFaceBoxes(_ outputs: Tensors, _ context: Context) throws -> FaceBoxes {
    FaceBoxes(
        faces: findFaces(
            try output(outputs, "faces"), context.region, threshold: try thresholdOf(context.manifest)))
}

/// Of two boxes of one face, the one with the lower score goes.
private let largestOverlap = 0.4
/// x0, y0, x1, y1, score, five x, five y; places in shares of the region.
private let faceColumns = 15

/// The faces of a detector's output: certain enough, their middle in the network's input, the best of overlapping ones.
func findFaces(_ rows: [Float], _ region: Region, threshold: Float) -> [FaceBox] {
    // Most rows show no face: they are passed over before anything is made of them.
    var candidates: [[Double]] = []
    for start in stride(from: 0, to: rows.count, by: faceColumns) where rows[start + 4] >= threshold {
        let row = rows[start..<start + faceColumns].map(Double.init)
        let (x, y) = ((row[0] + row[2]) / 2, (row[1] + row[3]) / 2)
        let inside = x >= 0 && x <= 1 && y >= 0 && y <= 1
        if inside && row.allSatisfy(\.isFinite) { candidates.append(row) }
    }
    // Equal scores keep their order.
    let order = candidates.indices.sorted { (candidates[$0][4], $1) > (candidates[$1][4], $0) }
    var kept: [[Double]] = []
    for row in order.map({ candidates[$0] }) where kept.allSatisfy({ !overlapsMuch($0, row) }) { kept.append(row) }
    return kept.map { toFaceBox($0, region) }
}

private func overlapsMuch(_ a: [Double], _ b: [Double]) -> Bool {
    func area(_ row: [Double]) -> Double { max(0, row[2] - row[0]) * max(0, row[3] - row[1]) }
    let both = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return both > largestOverlap * (area(a) + area(b) - both)
}

private func toFaceBox(_ row: [Double], _ region: Region) -> FaceBox {
    let points = (0..<5).flatMap { i in
        [
            Float(row[5 + i] * region.width + region.left - 0.5),
            Float(row[10 + i] * region.height + region.top - 0.5),
        ]
    }
    return FaceBox(
        x0: row[0] * region.width + region.left, y0: row[1] * region.height + region.top,
        x1: row[2] * region.width + region.left, y1: row[3] * region.height + region.top, score: Float(row[4]),
        pointsPx: points)
}

func toKeypoints(_ outputs: Tensors, _ context: Context) throws -> Keypoints {
    let names = context.manifest.modelFiles[0].outputs.map(\.name)
    let points = toPicture(try output(outputs, names[0]), context.region)
    let template = names.count > 1 ? toPicture(try output(outputs, names[1]), context.region) : points
    return Keypoints(pointsPx: points, templatePointsPx: template, region: context.region)
}

func toVoxelGrid(_ outputs: Tensors, _ context: Context) throws -> VoxelGrid {
    let occupancy = try output(outputs, "occupancy")
    let size = Int(cbrt(Double(occupancy.count)).rounded())
    return VoxelGrid(size: size, occupancy: occupancy, threshold: try thresholdOf(context.manifest))
}

func toMask(_ outputs: Tensors, _ context: Context, _ scaler: MaskScaler = MaskScaler()) throws -> Mask {
    let values = scaler.scale(try output(outputs, context.manifest.modelFiles[0].outputs[0].name), context)
    return Mask(
        width: context.pictureWidth, height: context.pictureHeight, values: values,
        threshold: try thresholdOf(context.manifest))
}

/// Fractions of the region, x then y, to pixels.
func toPicture(_ fractions: [Float], _ region: Region) -> [Float] {
    fractions.enumerated().map { i, value in
        let (length, start) = i % 2 == 0 ? (region.width, region.left) : (region.height, region.top)
        return Float(Double(value) * length + start - 0.5)
    }
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

func softmax(_ logits: [Float]) -> [Float] {
    let largest = logits.max() ?? 0
    let powers = logits.map { exp($0 - largest) }
    let total = powers.reduce(0, +)
    return powers.map { $0 / total }
}

func output(_ outputs: Tensors, _ name: String) throws -> [Float] {
    guard let values = outputs[name] else {
        throw OnParError.bundleInvalid("the artifact gave no output '\(name)'; export the bundle again")
    }
    return values
}

func thresholdOf(_ manifest: Manifest) throws -> Float {
    guard let value = manifest.postprocess.threshold else {
        throw OnParError.bundleInvalid("\(manifest.id) has no threshold; export the bundle again")
    }
    return value
}

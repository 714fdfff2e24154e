import Foundation

/// An object in a picture.
public struct DetectedObject: Sendable {
    /// Corners in picture pixels, the picture's outer corner at (0, 0); the box may reach beyond the picture.
    public let x0, y0, x1, y1: Double
    public let label: String
    public let score: Float
}

/// Objects in a picture, the most certain one first.
public struct DetectedObjects: Sendable {
    public let objects: [DetectedObject]
}

/// Box, class and score of every object that the network knows.
public typealias ObjectDetector = Detector<any PixelSource, DetectedObjects>

extension Detector where Input == any PixelSource, Value == DetectedObjects {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> ObjectDetector {
        try openTask(bundle, "Detections", runner, toDetectedObjects)
    }
}

/// Of two boxes of one class that overlap by this much, the one with the lower score goes.
private let sameObject = 0.5
private let most = 100

/// The box is x0, y0, x1, y1 in shares of the network's input, the number that of the class.
private struct Candidate {
    let box: [Float]
    let score: Float
    let number: Int
}

/// From boxes and scores to objects: reference/tasks/object_detection.py.
func toDetectedObjects(_ outputs: Tensors, _ context: Context) throws -> DetectedObjects {
    let manifest = context.manifest
    let boxes = try output(outputs, entry(manifest, 0).name)
    let threshold = try thresholdOf(manifest)
    let scores = try Scores(outputs, manifest)
    var candidates: [Candidate] = []
    for i in 0..<boxes.count / 4 {
        let column = scores.best(i)
        let score = scores.score(i, column)
        guard score >= threshold else { continue }
        let box = try corners(Array(boxes[4 * i..<4 * i + 4]), manifest)
        candidates.append(Candidate(box: box, score: score, number: scores.number(i, column)))
    }
    // Equal scores keep their order.
    let order = candidates.indices.sorted { (candidates[$0].score, $1) > (candidates[$1].score, $0) }
    return DetectedObjects(objects: try suppress(order.map { candidates[$0] }).map { try place($0, context) })
}

private func suppress(_ candidates: [Candidate]) -> [Candidate] {
    var kept: [Candidate] = []
    for candidate in candidates {
        let rivals = kept.lazy.filter { $0.number == candidate.number }
        if rivals.allSatisfy({ overlap(candidate.box, $0.box) < sameObject }) { kept.append(candidate) }
        if kept.count == most { break }
    }
    return kept
}

/// Scores (1, N, classes), or (1, N) beside an output with class numbers (1, N).
private struct Scores {
    private let values: [Float]
    private let numbers: [Float]?
    private let classes: Int
    private let areLogits: Bool

    init(_ outputs: Tensors, _ manifest: Manifest) throws {
        let entry = try OnPar.entry(manifest, 1)
        values = try output(outputs, entry.name)
        areLogits = entry.unit == "logit"
        classes = entry.shape.count < 3 ? 1 : entry.shape.last!
        numbers = entry.shape.count < 3 ? try output(outputs, OnPar.entry(manifest, 2).name) : nil
    }

    /// The column of a box's largest score.
    func best(_ box: Int) -> Int {
        var best = 0
        for column in 0..<classes {
            let value = values[box * classes + column]
            if value.isNaN { return column }
            if value > values[box * classes + best] { best = column }
        }
        return best
    }

    func score(_ box: Int, _ column: Int) -> Float {
        let value = values[box * classes + column]
        return areLogits ? Float(1 / (1 + exp(-Double(value)))) : value
    }

    func number(_ box: Int, _ column: Int) -> Int { numbers.map { Int($0[box]) } ?? column }
}

private func corners(_ values: [Float], _ manifest: Manifest) throws -> [Float] {
    let (unit, spec) = (try entry(manifest, 0).unit, try manifest.preprocess)
    let pixels = unit.hasSuffix("pixels")
    let (width, height): (Float, Float) = pixels ? (Float(spec.width), Float(spec.height)) : (1, 1)
    let (a, b, c, d) = (values[0] / width, values[1] / height, values[2] / width, values[3] / height)
    return unit.hasPrefix("cxcywh") ? [a - c / 2, b - d / 2, a + c / 2, b + d / 2] : [a, b, c, d]
}

/// Intersection over union; a box that is no number overlaps by no number.
private func overlap(_ a: [Float], _ b: [Float]) -> Double {
    if !(a + b).allSatisfy({ $0.isFinite }) { return .nan }
    func side(_ box: [Float], _ i: Int) -> Double { Double(box[i + 2]) - Double(box[i]) }
    func shared(_ i: Int) -> Double {
        let (end, start) = (min(a[i + 2], b[i + 2]), max(a[i], b[i]))
        return max(0, Double(end) - Double(start))
    }
    let both = shared(0) * shared(1)
    let areas: Double = side(a, 0) * side(a, 1) + side(b, 0) * side(b, 1)
    return both / max(areas - both, 1e-12)
}

private func place(_ found: Candidate, _ context: Context) throws -> DetectedObject {
    let (manifest, region) = (context.manifest, context.region)
    guard manifest.labels.indices.contains(found.number) else {
        throw OnParError.bundleInvalid(
            "\(manifest.id) gave the class \(found.number) and has \(manifest.labels.count) labels; export it with a label each"
        )
    }
    let box = found.box.map(Double.init)
    return DetectedObject(
        x0: box[0] * region.width + region.left, y0: box[1] * region.height + region.top,
        x1: box[2] * region.width + region.left, y1: box[3] * region.height + region.top,
        label: manifest.labels[found.number], score: found.score)
}

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

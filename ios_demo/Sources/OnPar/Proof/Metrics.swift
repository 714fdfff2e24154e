import Foundation

private let capDb = 200.0
private let outerEyes = (36, 45)
private let faceScore: Float = 0.3

/// How far an output is from the golden one: the metrics of sdk_build/proof/metrics.py that bundles set limits for.
enum Metric: String, CaseIterable {
    case maxAbsOfRange = "max_abs_of_range"
    case sqnrDb = "sqnr_db"
    case psnrDb = "psnr_db"
    case cosine
    case top1Agreement = "top1_agreement"
    case nmePercent = "nme_percent"
    case voxelIou = "voxel_iou"
    case maskIou = "mask_iou"
    case faceAgreement = "face_agreement"

    /// The metric of a name in bundle.json.
    static func named(_ name: String) throws -> Metric {
        guard let metric = Metric(rawValue: name) else {
            let allowed = allCases.map(\.rawValue).joined(separator: ", ")
            throw OnParError.bundleInvalid("bundle.json has the metric '\(name)'; allowed: \(allowed); update onpar")
        }
        return metric
    }

    var largerIsBetter: Bool { self != .maxAbsOfRange && self != .nmePercent }

    /// - Parameter columns: the last size of the output's shape: how many numbers a point has.
    func compute(_ actual: [Float], _ expected: [Float], columns: Int = 2) -> Double {
        let (a, e) = (actual.map(Double.init), expected.map(Double.init))
        return switch self {
        case .maxAbsOfRange: largestShare(a, e)
        case .sqnrDb: decibel(mean(e.lazy.map { $0 * $0 }), a, e)
        case .psnrDb: decibel(span(e) * span(e), a, e)
        case .cosine: cosineOf(a, e)
        case .top1Agreement: allFinite(a) && a.firstIndex(of: a.max()!) == e.firstIndex(of: e.max()!) ? 1 : 0
        case .nmePercent: meanError(a, e, columns)
        case .voxelIou, .maskIou: intersectionOverUnion(a, e)
        case .faceAgreement: faceAgreementOf(actual, expected)
        }
    }
}

private func largestShare(_ a: [Double], _ e: [Double]) -> Double {
    var scale = span(e)
    if scale == 0 { scale = e.map(abs).max() ?? 0 }
    if scale == 0 { scale = 1 }
    if !allFinite(a) { return .infinity }
    return (zip(a, e).map { abs($0 - $1) }.max() ?? 0) / scale
}

private func cosineOf(_ a: [Double], _ e: [Double]) -> Double {
    if !allFinite(a) { return -1 }
    let norm = (mean(a.lazy.map { $0 * $0 }) * mean(e.lazy.map { $0 * $0 })).squareRoot()
    return norm > 0 ? mean(zip(a, e).map { $0 * $1 }) / norm : 0
}

private func meanError(_ a: [Double], _ e: [Double], _ columns: Int) -> Double {
    func distance(_ p: [Double], _ i: Int, _ q: [Double], _ j: Int) -> Double {
        var squares = 0.0
        for k in 0..<columns {
            let apart = p[columns * i + k] - q[columns * j + k]
            squares += apart * apart
        }
        return squares.squareRoot()
    }
    let points = e.count / columns
    let total = (0..<points).map { distance(a, $0, e, $0) }.reduce(0, +)
    let value = 100 * total / Double(points) / max(distance(e, outerEyes.0, e, outerEyes.1), 1e-12)
    return value.isFinite ? value : .infinity
}

private func intersectionOverUnion(_ a: [Double], _ e: [Double]) -> Double {
    var (both, either) = (0, 0)
    for (x, y) in zip(a, e) {
        if x >= 0.5 && y >= 0.5 { both += 1 }
        if x >= 0.5 || y >= 0.5 { either += 1 }
    }
    return either > 0 ? Double(both) / Double(either) : 1
}

/// Mean overlap of the faces that either of two detectors' outputs holds; a face that only one holds counts 0.
private func faceAgreementOf(_ a: [Float], _ e: [Float]) -> Double {
    let whole = Region(left: 0, top: 0, width: 1, height: 1)
    let (found, wanted) = (findFaces(a, whole, threshold: faceScore), findFaces(e, whole, threshold: faceScore))
    if found.isEmpty || wanted.isEmpty { return found.isEmpty == wanted.isEmpty ? 1 : 0 }
    var pairs: [(i: Int, j: Int, overlap: Double)] = []
    for (i, one) in found.enumerated() {
        for (j, other) in wanted.enumerated() { pairs.append((i, j, overlap(one, other))) }
    }
    pairs.sort { $0.overlap > $1.overlap }
    var (takenA, takenE, total) = (Set<Int>(), Set<Int>(), 0.0)
    for pair in pairs where pair.overlap > 0 && !takenA.contains(pair.i) && !takenE.contains(pair.j) {
        takenA.insert(pair.i)
        takenE.insert(pair.j)
        total += pair.overlap
    }
    return total / Double(found.count + wanted.count - takenA.count)
}

private func overlap(_ a: FaceBox, _ b: FaceBox) -> Double {
    func area(_ box: FaceBox) -> Double { (box.x1 - box.x0) * (box.y1 - box.y0) }
    let both = max(0, min(a.x1, b.x1) - max(a.x0, b.x0)) * max(0, min(a.y1, b.y1) - max(a.y0, b.y0))
    return both / (area(a) + area(b) - both)
}

private func decibel(_ signal: Double, _ a: [Double], _ e: [Double]) -> Double {
    let noise = mean(zip(a, e).map { ($0 - $1) * ($0 - $1) })
    if !noise.isFinite { return -capDb }
    if noise == 0 { return capDb }
    return min(capDb, max(-capDb, 10 * log10(max(signal, 1e-300) / noise)))
}

private func mean(_ values: some Collection<Double>) -> Double { values.reduce(0, +) / Double(values.count) }

private func span(_ values: [Double]) -> Double { (values.max() ?? 0) - (values.min() ?? 0) }

private func allFinite(_ values: [Double]) -> Bool { values.allSatisfy(\.isFinite) }

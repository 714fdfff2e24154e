import Foundation

private let capDb = 200.0
private let outerEyes = (36, 45)
private let faceScore: Float = 0.3
/// Of the range of all coordinates, or of a map's sides.
private let close = 0.01
/// Of the range: what eyes may see in a flat area.
private let visible = 4.0 / 255

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
    case exactShare = "exact_share"
    case finiteShare = "finite_share"
    case pixelAgreement = "pixel_agreement"
    case coordinateAgreement = "coordinate_agreement"
    case pointAgreement = "point_agreement"
    case depthCorrelation = "depth_correlation"
    case angleDegrees = "angle_degrees"
    case pictureAgreement = "picture_agreement"

    /// The metric of a name in bundle.json.
    static func named(_ name: String) throws -> Metric {
        guard let metric = Metric(rawValue: name) else {
            let allowed = allCases.map(\.rawValue).joined(separator: ", ")
            throw OnParError.bundleInvalid("bundle.json has the metric '\(name)'; allowed: \(allowed); update onpar")
        }
        return metric
    }

    var largerIsBetter: Bool { ![.maxAbsOfRange, .nmePercent, .angleDegrees].contains(self) }

    /// - Parameter shape: of both; large outputs are thinned and flat.
    func compute(_ a: [Double], _ e: [Double], shape: [Int]) -> Double {
        switch self {
        case .maxAbsOfRange: largestShare(a, e)
        case .sqnrDb: decibel(mean(e.lazy.map { $0 * $0 }), a, e)
        case .psnrDb: decibel(span(e) * span(e), a, e)
        case .cosine: cosineOf(a, e)
        case .top1Agreement: allFinite(a) && a.firstIndex(of: a.max()!) == e.firstIndex(of: e.max()!) ? 1 : 0
        case .nmePercent: meanError(a, e, shape.last ?? 1)
        case .voxelIou, .maskIou: intersectionOverUnion(a, e)
        case .faceAgreement: faceAgreementOf(a.map { Float($0) }, e.map { Float($0) })
        case .exactShare: share(a, e, ==)
        case .finiteShare: finiteShareOf(a, e)
        case .pixelAgreement: pixelAgreementOf(a, e, shape)
        case .coordinateAgreement: shareWithin(a, e)
        case .pointAgreement: pointAgreementOf(a, e, shape)
        case .depthCorrelation: correlation(a, e)
        case .angleDegrees: angle(a, e)
        case .pictureAgreement: share(a, e) { [bound = visible * range(e)] in abs($0 - $1) <= bound }
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

private func share(_ a: [Double], _ e: [Double], _ counts: (Double, Double) -> Bool) -> Double {
    Double(zip(a, e).lazy.filter { counts($0, $1) }.count) / Double(a.count)
}

private func finiteShareOf(_ a: [Double], _ e: [Double]) -> Double {
    let wanted = zip(a, e).filter { $0.1.isFinite }
    return wanted.isEmpty ? 1 : Double(wanted.filter { $0.0.isFinite }.count) / Double(wanted.count)
}

/// Share of the cells whose class is the same, of scores (1, classes, h, w) or class numbers.
private func pixelAgreementOf(_ a: [Double], _ e: [Double], _ shape: [Int]) -> Double {
    if !allFinite(a) { return 0 }
    if shape.count != 4 { return share(a, e, ==) }
    let (actual, expected) = (classesOf(a.map { Float($0) }, shape, true), classesOf(e.map { Float($0) }, shape, true))
    return share(actual.map(Double.init), expected.map(Double.init), ==)
}

/// Share of the coordinates, or of the maps' peaks, that are off by less than 1 % of the range or of the side.
private func pointAgreementOf(_ a: [Double], _ e: [Double], _ shape: [Int]) -> Double {
    if !allFinite(a) { return 0 }
    if shape.count != 4 { return shareWithin(a, e) }
    func places(_ maps: [Double]) -> [Double] {
        peaks(maps.map { Float($0) }, count: shape[1], rows: shape[2], columns: shape[3]).places.map(Double.init)
    }
    return share(places(a), places(e)) { abs($0 - $1) < close }
}

/// Pearson's correlation; 0 where one of the maps is constant.
private func correlation(_ a: [Double], _ e: [Double]) -> Double {
    let (middleA, middleE) = (mean(a), mean(e))
    let (offA, offE) = (a.map { $0 - middleA }, e.map { $0 - middleE })
    let norm = (mean(offA.lazy.map { $0 * $0 }) * mean(offE.lazy.map { $0 * $0 })).squareRoot()
    return norm.isFinite && norm != 0 ? mean(zip(offA, offE).map { $0 * $1 }) / norm : 0
}

/// By the chord: an arc cosine loses small angles to rounding.
private func angle(_ a: [Double], _ e: [Double]) -> Double {
    func length(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let (lengthA, lengthE) = (length(a), length(e))
    if !(lengthA * lengthE).isFinite || lengthA * lengthE == 0 { return 90 }
    let chord = length(zip(a, e).map { $0 / lengthA - $1 / lengthE })
    return 2 * asin(min(1, chord / 2)) * 180 / .pi
}

/// Share of the values that are off by less than 1 % of the range.
private func shareWithin(_ a: [Double], _ e: [Double]) -> Double {
    let bound = close * range(e)
    return share(a, e) { abs($0 - $1) < bound }
}

private func range(_ e: [Double]) -> Double { span(e) == 0 ? 1 : span(e) }

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

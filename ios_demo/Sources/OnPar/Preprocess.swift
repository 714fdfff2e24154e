/// A part of a picture, in pixels.
public struct Box: Sendable, Equatable {
    public let x0, y0, x1, y1: Double

    public init(x0: Double, y0: Double, x1: Double, y1: Double) {
        (self.x0, self.y0, self.x1, self.y1) = (x0, y0, x1, y1)
    }
}

/// The rectangle of the picture that the network sees, in pixels; (0, 0) is the picture's outer corner.
public struct Region: Sendable, Equatable {
    public let left, top, width, height: Double
}

private let objectMargin = 0.03
/// The farthest pixel keeps this value; 0 means "no measurement".
private let farthestValue = 1.0 / 16

/// The region with the network's aspect ratio: rule 2 of reference/inputs/preprocess.py.
func chooseRegion(_ width: Int, _ height: Int, _ spec: PreprocessSpec, box: Box? = nil, boxGrow: Double? = nil) throws
    -> Region
{
    let (fullWidth, fullHeight) = (Double(width), Double(height))
    var (left, top, right, bottom) = (0.0, 0.0, fullWidth, fullHeight)
    if let box {
        guard box.x0 < box.x1, box.y0 < box.y1, box.x0 < fullWidth, box.y0 < fullHeight, box.x1 > 0, box.y1 > 0 else {
            throw OnParError.badInput("box is \(box); allowed: x0 < x1, y0 < y1, inside the \(width)x\(height) picture")
        }
        let growX = (boxGrow ?? spec.boxGrow) * (box.x1 - box.x0)
        let growY = (boxGrow ?? spec.boxGrow) * (box.y1 - box.y0)
        (left, right) = (max(0, box.x0 - growX), min(fullWidth, box.x1 + growX))
        (top, bottom) = (max(0, box.y0 - growY), min(fullHeight, box.y1 + growY))
    }
    let (w, h) = (right - left, bottom - top)
    if spec.resize == "stretch" { return Region(left: left, top: top, width: w, height: h) }
    let (across, down) = (w / Double(spec.width), h / Double(spec.height))
    let scale = spec.resize == "cover" ? min(across, down) : max(across, down)
    let (w2, h2) = (scale * Double(spec.width), scale * Double(spec.height))
    return Region(left: left + (w - w2) / 2, top: top + (h - h2) / 2, width: w2, height: h2)
}

/// Weights of the input pixels along one axis: output i reads count[i] pixels from first[i]; `most` weights for each.
struct Taps {
    private(set) var first: [Int]
    private(set) var count: [Int]
    private(set) var weights: [Float] = []
    private(set) var most = 0
    private var folded: [Double] = []

    init(size: Int) {
        first = Array(repeating: 0, count: size)
        count = Array(repeating: 0, count: size)
    }

    /// The outputs share `length` pixels from `start` on, of an axis of `pixels`; the memory is kept.
    mutating func set(start: Double, length: Double, pixels: Int) {
        let size = first.count
        let scale = length / Double(size)
        let support = max(scale, 1)
        most = 2 * Int(support.rounded(.up)) + 2
        if folded.count < most {
            folded = Array(repeating: 0, count: most)
            weights = Array(repeating: 0, count: size * most)
        }
        for i in 0..<size { fill(i, start + (Double(i) + 0.5) * scale, support, pixels) }
    }

    /// What lies beyond the border counts for the edge pixel.
    private mutating func fill(_ i: Int, _ center: Double, _ support: Double, _ pixels: Int) {
        func weight(_ position: Int) -> Double { max(0, 1 - abs(Double(position) + 0.5 - center) / support) }
        let (low, high) = (Int((center - support).rounded(.down)), Int((center + support).rounded(.up)))
        var total = 0.0
        for position in low...high { total += weight(position) }
        for k in 0..<most { folded[k] = 0 }
        count[i] = 0
        for position in low...high where weight(position) > 0 {
            let pixel = min(max(position, 0), pixels - 1)
            if count[i] == 0 { first[i] = pixel }
            folded[pixel - first[i]] += weight(position) / total
            count[i] = pixel - first[i] + 1
        }
        for k in 0..<most { weights[i * most + k] = Float(folded[k]) }
    }
}

/// Turns one picture after the other into the input tensor; keeps its memory and, for equal regions, its weights.
final class PicturePreprocessor {
    /// (1, 3, H, W) RGB in [0, 1]; overwritten by every run.
    private(set) var tensor: [Float]
    private let spec: PreprocessSpec
    private var known: (region: Region, width: Int, height: Int)?
    private var rows: Taps
    private var columns: Taps
    /// The rows read last, each where its number modulo `rows.most` says, and their numbers.
    private var cache: [Float] = []
    private var cached: [Int] = []
    private var sum: [Float] = []

    init(_ spec: PreprocessSpec) {
        self.spec = spec
        tensor = Array(repeating: 0, count: 3 * spec.height * spec.width)
        rows = Taps(size: spec.height)
        columns = Taps(size: spec.width)
    }

    /// Fill `tensor` and say which region it shows.
    func run(_ source: any PixelSource, box: Box? = nil) throws -> Region {
        let region = try chooseRegion(source.width, source.height, spec, box: box)
        sample(source, region)
        return region
    }

    /// Fill `tensor` with a region, which may reach beyond the picture: edge pixels repeat.
    func sample(_ source: any PixelSource, _ region: Region) {
        prepare(source, region)
        sample(source)
    }

    private var columnCount: Int { columns.first.last! + columns.count.last! - columns.first[0] }

    private func prepare(_ source: any PixelSource, _ region: Region) {
        if known == nil || known! != (region, source.width, source.height) {
            rows.set(start: region.top, length: region.height, pixels: source.height)
            columns.set(start: region.left, length: region.width, pixels: source.width)
            // A box that moves from frame to frame costs memory only where it grows.
            let length = 3 * columnCount
            if sum.count < length { sum = Array(repeating: 0, count: length) }
            if cache.count < length * rows.most { cache = Array(repeating: 0, count: length * rows.most) }
            if cached.count < rows.most { cached = Array(repeating: -1, count: rows.most) }
            known = (region, source.width, source.height)
        }
        for i in cached.indices { cached[i] = -1 }
    }

    /// Rows are weighed first: they lie one after the other in memory, which processors add fastest.
    private func sample(_ source: any PixelSource) {
        let (count, slots) = (columnCount, rows.most)
        let length = 3 * count
        sum.withUnsafeMutableBufferPointer { sum in
            cache.withUnsafeMutableBufferPointer { cache in
                for oy in 0..<spec.height {
                    for i in 0..<length { sum[i] = 0 }
                    for k in 0..<rows.count[oy] {
                        let y = rows.first[oy] + k
                        let row = cache.baseAddress! + (y % slots) * length
                        if cached[y % slots] != y {
                            source.readRow(y, first: columns.first[0], count: count, into: row)
                            cached[y % slots] = y
                        }
                        let weight = rows.weights[oy * rows.most + k]
                        for i in 0..<length { sum[i] += weight * row[i] }
                    }
                    writeRow(oy, count, UnsafeBufferPointer(sum))
                }
            }
        }
    }

    /// The three channels together: their sums don't wait for one another.
    private func writeRow(_ oy: Int, _ count: Int, _ sum: UnsafeBufferPointer<Float>) {
        let (first, counts, most) = (columns.first, columns.count, columns.most)
        let (width, plane) = (spec.width, spec.height * spec.width)
        tensor.withUnsafeMutableBufferPointer { tensor in
            columns.weights.withUnsafeBufferPointer { weights in
                for ox in 0..<width {
                    let from = first[ox] - first[0]
                    var (red, green, blue): (Float, Float, Float) = (0, 0, 0)
                    for k in 0..<counts[ox] {
                        let weight = weights[ox &* most &+ k]
                        red += weight * sum[from &+ k]
                        green += weight * sum[from &+ k &+ count]
                        blue += weight * sum[from &+ k &+ 2 &* count]
                    }
                    let to = oy * width + ox
                    tensor[to] = red / 255
                    tensor[to + plane] = green / 255
                    tensor[to + 2 * plane] = blue / 255
                }
            }
        }
    }
}

/// Turns depth maps into the input tensor (1, 1, H, W) in [0, 1]: nearest 1, farthest 1/16, no measurement 0.
final class DepthPreprocessor {
    /// Overwritten by every run.
    private(set) var tensor: [Float]
    private let spec: PreprocessSpec

    init(_ spec: PreprocessSpec) {
        self.spec = spec
        tensor = Array(repeating: 0, count: spec.height * spec.width)
    }

    /// Fill `tensor` and say which region it shows; without a box, all that was measured.
    func run(_ depth: DepthMap, box: Box? = nil) throws -> Region {
        let region =
            if let box {
                try chooseRegion(depth.width, depth.height, spec, box: box)
            } else {
                try chooseRegion(depth.width, depth.height, spec, box: measuredBox(depth), boxGrow: objectMargin)
            }
        var (near, far) = (Int.max, 0)
        for i in tensor.indices {
            let value = nearest(depth, region, i / spec.width, i % spec.width)
            tensor[i] = Float(value)
            if value > 0 { (near, far) = (min(near, value), max(far, value)) }
        }
        guard far > 0 else {
            throw OnParError.badInput("the depth map is 0 inside \(region); choose a box where distances were measured")
        }
        let extent = far > near ? Double(far - near) : 1
        for i in tensor.indices where tensor[i] > 0 {
            tensor[i] = Float(1 - (Double(tensor[i]) - Double(near)) / extent * (1 - farthestValue))
        }
        return region
    }

    private func nearest(_ depth: DepthMap, _ region: Region, _ i: Int, _ j: Int) -> Int {
        let y = Int((region.top + (Double(i) + 0.5) * (region.height / Double(spec.height))).rounded(.down))
        let x = Int((region.left + (Double(j) + 0.5) * (region.width / Double(spec.width))).rounded(.down))
        guard (0..<depth.width).contains(x), (0..<depth.height).contains(y) else { return 0 }
        return Int(depth.millimetres[y * depth.width + x])
    }

    private func measuredBox(_ depth: DepthMap) throws -> Box {
        var (left, top, right, bottom) = (depth.width, depth.height, -1, -1)
        for (i, value) in depth.millimetres.enumerated() where value > 0 {
            let (x, y) = (i % depth.width, i / depth.width)
            (left, right, top, bottom) = (min(left, x), max(right, x), min(top, y), y)
        }
        guard right >= 0 else {
            throw OnParError.badInput("the depth map is 0 everywhere; give a map with distances in millimetres")
        }
        return Box(x0: Double(left), y0: Double(top), x1: Double(right + 1), y1: Double(bottom + 1))
    }
}

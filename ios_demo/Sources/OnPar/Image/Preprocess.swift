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

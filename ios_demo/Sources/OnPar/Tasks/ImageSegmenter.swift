/// The class of every cell of the network's own grid, row by row, which covers `region` of the picture.
public struct Segmentation: Sendable {
    public let classes: [Int]
    public let rows: Int
    public let columns: Int
    public let region: Region
    public let labels: [String]

    /// Class numbers of a picture's pixels; -1 outside the region.
    public func inPicture(width: Int, height: Int) -> [Int] {
        layClassesOver(Grid(values: classes, rows: rows, columns: columns), region, width, height)
    }

    /// Share of the grid that each class covers, the largest first; classes that cover nothing are left out.
    public var shares: [(label: String, share: Double)] {
        var counts = [Int](repeating: 0, count: labels.count)
        for number in classes where counts.indices.contains(number) { counts[number] += 1 }
        let order = counts.indices.filter { counts[$0] > 0 }.sorted { (counts[$0], $1) > (counts[$1], $0) }
        return order.map { (labels[$0], Double(counts[$0]) / Double(classes.count)) }
    }
}

/// What every pixel shows, of the classes that the network knows.
public typealias ImageSegmenter = Detector<any PixelSource, Segmentation>

extension Detector where Input == any PixelSource, Value == Segmentation {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> ImageSegmenter {
        try openTask(bundle, "Segmentation", runner, toSegmentation)
    }
}

/// The most probable class of every cell: reference/tasks/image_segmentation.py.
func toSegmentation(_ outputs: Tensors, _ context: Context) throws -> Segmentation {
    let tensor = try entry(context.manifest, 0)
    let sides = tensor.shape.suffix(2)
    let isFloat = tensor.dtype == .float32 || tensor.dtype == .float16
    return Segmentation(
        classes: classesOf(try output(outputs, tensor.name), tensor.shape, isFloat), rows: sides.first!,
        columns: sides.last!, region: context.region, labels: context.manifest.labels)
}

/// Of scores (1, classes, h, w) the largest, of one score (above 0 is the second class), or class numbers.
func classesOf(_ values: [Float], _ shape: [Int], _ isFloat: Bool) -> [Int] {
    if !isFloat { return values.map { Int($0) } }
    let classes = shape[shape.count - 3]
    if classes == 1 { return values.map { $0 > 0 ? 1 : 0 } }
    let cells = values.count / classes
    return (0..<cells).map { cell in
        var best = 0
        for c in 1..<classes where values[c * cells + cell] > values[best * cells + cell] { best = c }
        return best
    }
}

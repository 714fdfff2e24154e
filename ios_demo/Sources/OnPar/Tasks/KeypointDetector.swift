/// Points of a picture, as many as the network has.
public struct Points: Sendable {
    /// x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0).
    public let pointsPx: [Float]
    /// As the network gives them; empty where it gives none.
    public let scores: [Float]
    /// Names of the points; empty where they have none.
    public let labels: [String]
}

/// Points of whatever the network was trained for.
public typealias KeypointDetector = Detector<any PixelSource, Points>

extension Detector where Input == any PixelSource, Value == Points {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> KeypointDetector {
        try openTask(bundle, "Points", runner, toPoints)
    }
}

/// Points as pixels, as fractions or as maps: reference/tasks/keypoints.py.
func toPoints(_ outputs: Tensors, _ context: Context) throws -> Points {
    let (manifest, region) = (context.manifest, context.region)
    let tensor = try entry(manifest, 0)
    let values = try output(outputs, tensor.name)
    let count = tensor.shape[1]
    if tensor.unit == "map" {
        let found = peaks(values, count: count, rows: tensor.shape[2], columns: tensor.shape[3])
        return Points(pointsPx: toPicture(found.places, region), scores: found.heights, labels: manifest.labels)
    }
    let (numbers, spec) = (tensor.shape[2], try manifest.preprocess)
    let pixels = tensor.unit == "pixels"
    let (width, height): (Float, Float) = pixels ? (Float(spec.width), Float(spec.height)) : (1, 1)
    var (places, scores): ([Float], [Float]) = ([], [])
    for point in 0..<count {
        places.append(values[point * numbers] / width)
        places.append(values[point * numbers + 1] / height)
        if numbers > 2 { scores.append(values[point * numbers + 2]) }
    }
    return Points(pointsPx: toPicture(places, region), scores: scores, labels: manifest.labels)
}

/// Places x, y, ... in shares of a map's sides, and heights, of the largest value of each of `count` maps.
func peaks(_ maps: [Float], count: Int, rows: Int, columns: Int) -> (places: [Float], heights: [Float]) {
    var (places, heights): ([Float], [Float]) = ([], [])
    for map in 0..<count {
        let start = map * rows * columns
        var best = start
        for i in start..<start + rows * columns where maps[i] > maps[best] { best = i }
        let (x, y) = ((best - start) % columns, (best - start) / columns)
        // A quarter of a cell towards the larger neighbour (Newell et al., 2016).
        func step(_ inside: Bool, _ by: Int) -> Double {
            guard inside, maps[best + by] != maps[best - by] else { return 0 }
            return maps[best + by] > maps[best - by] ? 0.25 : -0.25
        }
        let across = Double(x) + 0.5 + step(x > 0 && x < columns - 1, 1)
        let down = Double(y) + 0.5 + step(y > 0 && y < rows - 1, columns)
        places.append(Float(across / Double(columns)))
        places.append(Float(down / Double(rows)))
        heights.append(maps[best])
    }
    return (places, heights)
}

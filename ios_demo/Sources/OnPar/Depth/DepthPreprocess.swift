private let objectMargin = 0.03
/// The farthest pixel keeps this value; 0 means "no measurement".
private let farthestValue = 1.0 / 16

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

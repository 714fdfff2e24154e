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

/// Fractions of the region, x then y, to pixels.
func toPicture(_ fractions: [Float], _ region: Region) -> [Float] {
    fractions.enumerated().map { i, value in
        let (length, start) = i % 2 == 0 ? (region.width, region.left) : (region.height, region.top)
        return Float(Double(value) * length + start - 0.5)
    }
}

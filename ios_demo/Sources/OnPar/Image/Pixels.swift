public let smallestSide = 8
public let largestSide = 16384

/// Upright pixels that preprocessing reads row by row; width and height are those of the upright picture.
public protocol PixelSource: Sendable {
    var width: Int { get }
    var height: Int { get }

    /// Write red, green and blue (0 to 255) of pixels [first, first + count) of a row, one channel after the other.
    func readRow(_ y: Int, first: Int, count: Int, into out: UnsafeMutablePointer<Float>)
}

func checkSize(_ width: Int, _ height: Int) throws {
    if min(width, height) < smallestSide || max(width, height) > largestSide {
        throw OnParError.badInput(
            "picture is \(width)x\(height) pixels; allowed: \(smallestSide) to \(largestSide) on each side")
    }
}

/// Where upright pixel (x, y) lies in the stored picture: (x0 + x * xx + y * xy, y0 + x * yx + y * yy).
///
/// EXIF value 1 is upright, 3 upside down, 6 needs a quarter turn clockwise, 8 anticlockwise; 2, 4, 5, 7 are mirrored.
struct Placement: Sendable {
    let width, height, x0, y0, xx, xy, yx, yy: Int

    init(_ storedWidth: Int, _ storedHeight: Int, orientation: Int) throws {
        try checkSize(storedWidth, storedHeight)
        guard (1...8).contains(orientation) else {
            throw OnParError.badInput("orientation is \(orientation); allowed: the EXIF values 1 to 8")
        }
        let turned = orientation >= 5
        let flipX = [2, 3, 7, 8].contains(orientation)
        let flipY = [3, 4, 6, 7].contains(orientation)
        let (stepX, stepY) = (flipX ? -1 : 1, flipY ? -1 : 1)
        (width, height) = turned ? (storedHeight, storedWidth) : (storedWidth, storedHeight)
        (xx, xy) = turned ? (0, stepX) : (stepX, 0)
        (yx, yy) = turned ? (stepY, 0) : (0, stepY)
        (x0, y0) = (flipX ? storedWidth - 1 : 0, flipY ? storedHeight - 1 : 0)
    }
}

/// A picture in memory: 3 (RGB) or 4 (RGBA; transparency is laid over white) bytes a pixel, without padding.
public struct Picture: PixelSource {
    private let place: Placement
    private let storedWidth: Int
    private let channels: Int
    private let bytes: [UInt8]
    public var width: Int { place.width }
    public var height: Int { place.height }

    public init(width: Int, height: Int, bytes: [UInt8], orientation: Int = 1) throws {
        place = try Placement(width, height, orientation: orientation)
        channels = bytes.count == 4 * width * height ? 4 : 3
        guard bytes.count == channels * width * height else {
            throw OnParError.badInput(
                "picture has \(bytes.count) bytes; \(width)x\(height) pixels need 3 or 4 bytes each")
        }
        storedWidth = width
        self.bytes = bytes
    }

    public func readRow(_ y: Int, first: Int, count: Int, into out: UnsafeMutablePointer<Float>) {
        let step = (place.yx * storedWidth + place.xx) * channels
        let startX = place.x0 + first * place.xx + y * place.xy
        let startY = place.y0 + first * place.yx + y * place.yy
        var at = (startY * storedWidth + startX) * channels
        bytes.withUnsafeBufferPointer { bytes in
            for i in 0..<count {
                let alpha = channels == 4 ? Int(bytes[at + 3]) : 255
                for c in 0..<3 {
                    let value = Int(bytes[at + c])
                    out[c * count + i] =
                        alpha == 255 ? Float(value) : (Float(value * alpha + 255 * (255 - alpha)) / 255).rounded()
                }
                at += step
            }
        }
    }
}

/// Bytes of one plane; strides in bytes, from row to row and from sample to sample.
public struct Plane: Sendable {
    let data: [UInt8]
    let rowStride: Int
    let pixelStride: Int

    public init(data: [UInt8], rowStride: Int, pixelStride: Int = 1) {
        (self.data, self.rowStride, self.pixelStride) = (data, rowStride, pixelStride)
    }

    /// Bytes from the first of some rows to the last: the last row has no padding.
    static func bytes(rows: Int, of row: Int, stride: Int) -> Int {
        rows < 1 ? 0 : (rows - 1) * stride + row
    }
}

public enum YuvRange: String, Sendable { case full, limited }

public enum YuvMatrix: String, Sendable {
    case bt601, bt709

    /// Weights of red and blue in brightness, ITU-R BT.601 and BT.709.
    var weights: (red: Double, blue: Double) { self == .bt601 ? (0.299, 0.114) : (0.2126, 0.0722) }
}

/// A camera frame: a Y plane, and U and V planes of half the size. Integer arithmetic, as in reference/inputs/camera.py.
public struct YuvFrame: PixelSource {
    private let place: Placement
    private let y, u, v: Plane
    private let black, luma, redV, greenU, greenV, blueU: Int32
    public var width: Int { place.width }
    public var height: Int { place.height }

    public init(
        width: Int, height: Int, y: Plane, u: Plane, v: Plane, orientation: Int = 1, range: YuvRange = .full,
        matrix: YuvMatrix = .bt601
    ) throws {
        place = try Placement(width, height, orientation: orientation)
        try checkPlane("Y", y, width, height)
        try checkPlane("U", u, (width + 1) / 2, (height + 1) / 2)
        try checkPlane("V", v, (width + 1) / 2, (height + 1) / 2)
        (self.y, self.u, self.v) = (y, u, v)
        let (kr, kb) = matrix.weights
        let kg = 1 - kr - kb
        let full = range == .full
        let chroma = full ? 65536 : 65536.0 * 255 / 224
        black = full ? 0 : 16
        luma = Int32((full ? 65536 : 65536.0 * 255 / 219).rounded())
        redV = Int32((chroma * 2 * (1 - kr)).rounded())
        greenU = -Int32((chroma * 2 * kb * (1 - kb) / kg).rounded())
        greenV = -Int32((chroma * 2 * kr * (1 - kr) / kg).rounded())
        blueU = Int32((chroma * 2 * (1 - kb)).rounded())
    }

    /// The sums of all pixels come first; one loop without branches, which compilers turn into vectors, makes them bytes.
    public func readRow(_ row: Int, first: Int, count: Int, into out: UnsafeMutablePointer<Float>) {
        out.withMemoryRebound(to: Int32.self, capacity: 3 * count) { sumRow(row, first: first, count: count, into: $0) }
        let sums = UnsafeRawPointer(out)
        for i in 0..<3 &* count { out[i] = toByte(sums.load(fromByteOffset: 4 &* i, as: Int32.self) >> 16) }
    }

    private func sumRow(_ row: Int, first: Int, count: Int, into out: UnsafeMutablePointer<Int32>) {
        y.data.withUnsafeBufferPointer { ys in
            u.data.withUnsafeBufferPointer { us in
                v.data.withUnsafeBufferPointer { vs in
                    let rx = place.x0 + first * place.xx + row * place.xy
                    let ry = place.y0 + first * place.yx + row * place.yy
                    let step = place.yx * y.rowStride + place.xx * y.pixelStride
                    var from = ry * y.rowStride + rx * y.pixelStride
                    // Two neighbours share U and V: along the row, whichever way it lies in the frame, this position
                    // tells which.
                    let lying = place.xx != 0
                    let forward = place.xx + place.yx
                    var position = lying ? rx : ry
                    let stepU = lying ? u.pixelStride : u.rowStride
                    let stepV = lying ? v.pixelStride : v.rowStride
                    let startU = lying ? (ry >> 1) * u.rowStride : (rx >> 1) * u.pixelStride
                    let startV = lying ? (ry >> 1) * v.rowStride : (rx >> 1) * v.pixelStride
                    var chroma = -1
                    var (red, green, blue): (Int32, Int32, Int32) = (0, 0, 0)
                    for i in 0..<count {
                        if position >> 1 != chroma {
                            chroma = position >> 1
                            let cu = Int32(us[startU &+ chroma &* stepU]) - 128
                            let cv = Int32(vs[startV &+ chroma &* stepV]) - 128
                            (red, green, blue) = (redV &* cv, greenU &* cu &+ greenV &* cv, blueU &* cu)
                        }
                        let bright = luma &* (Int32(ys[from]) &- black) &+ 32768
                        out[i] = bright &+ red
                        out[count &+ i] = bright &+ green
                        out[2 &* count &+ i] = bright &+ blue
                        from &+= step
                        position &+= forward
                    }
                }
            }
        }
    }
}

/// The value, but at least 0 and at most 255.
@inline(__always)
private func toByte(_ value: Int32) -> Float { Float(min(max(value, 0), 255)) }

private func checkPlane(_ name: String, _ plane: Plane, _ width: Int, _ height: Int) throws {
    let row = (width - 1) * plane.pixelStride + 1
    let needed = (height - 1) * plane.rowStride + row
    if plane.pixelStride < 1 || plane.rowStride < row || plane.data.count < needed {
        throw OnParError.badInput(
            "plane \(name) has \(plane.data.count) bytes, row stride \(plane.rowStride), pixel stride "
                + "\(plane.pixelStride); \(width)x\(height) samples need \(needed) bytes and a row stride of at least \(row)"
        )
    }
}

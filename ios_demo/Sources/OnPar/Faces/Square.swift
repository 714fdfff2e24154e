import Foundation

/// Points of a face, in the order of the 300-W annotations.
let facePoints = 68
/// Side of the crop in sides of the points' box.
private let cropScale = 1.6
/// Samples of one pixel of a crop along each axis.
private let mostSamples = 32.0
/// The keypoint networks' square, in longer sides of the detector's box.
private let squareOfBoxScale = 1.4
/// Of a crop, in longer sides of the picture: beyond it the points are no face's.
let largestSideOfPicture = 8.0

/// A square of a picture, turned.
public struct Square: Sendable, Equatable {
    /// Its centre in picture pixels, the centre of the first pixel at (0, 0).
    public let x, y: Double
    public let side: Double
    /// Degrees by which the picture is turned clockwise to make the face upright.
    public let angle: Double

    public init(x: Double, y: Double, side: Double, angle: Double = 0) {
        (self.x, self.y, self.side, self.angle) = (x, y, side, angle)
    }

    /// Fractions of the crop, x then y, to picture pixels.
    public func toPicture(_ fractions: [Float]) -> [Float] {
        let along = side * cos(angle * .pi / 180)
        let across = side * sin(angle * .pi / 180)
        var points = fractions
        for i in stride(from: 0, to: fractions.count - 1, by: 2) {
            let (u, v) = (Double(fractions[i]) - 0.5, Double(fractions[i + 1]) - 0.5)
            points[i] = Float(x + u * along + v * across)
            points[i + 1] = Float(y - u * across + v * along)
        }
        return points
    }

    /// Whether a crop of it can be taken from a picture whose longer side is given.
    func fits(_ longest: Double) -> Bool {
        x.isFinite && y.isFinite && side.isFinite && angle.isFinite && side <= largestSideOfPicture * longest
    }
}

/// Roll of a face in degrees, from the line through the eyes of its 68 points; positive: its left eye is lower.
private func rollOf(_ points: [Float]) -> Double {
    var (x, y) = (0.0, 0.0)
    for i in 36..<42 {
        x += Double(points[2 * i + 12]) - Double(points[2 * i])
        y += Double(points[2 * i + 13]) - Double(points[2 * i + 1])
    }
    return atan2(y, x) * 180 / .pi
}

/// The upright square around a face that the keypoint networks look at, from its 68 points: x, y, x, y, ... in pixels.
public func squareFromPoints(_ pointsPx: [Float]) throws -> Square {
    guard pointsPx.count == 2 * facePoints else {
        throw OnParError.badInput(
            "got \(pointsPx.count) values; a square needs \(facePoints) points, x and y of each")
    }
    let angle = -rollOf(pointsPx)
    let (c, s) = (cos(angle * .pi / 180), sin(angle * .pi / 180))
    var (left, right) = (Double.infinity, -Double.infinity)
    var (top, bottom) = (Double.infinity, -Double.infinity)
    var finite = true
    for i in stride(from: 0, to: pointsPx.count, by: 2) {
        let (px, py) = (Double(pointsPx[i]), Double(pointsPx[i + 1]))
        finite = finite && px.isFinite && py.isFinite
        let (x, y) = (px * c - py * s, px * s + py * c)
        (left, right) = (min(left, x), max(right, x))
        (top, bottom) = (min(top, y), max(bottom, y))
    }
    // The smaller of a number and of what is none is the number; the square must not hide it.
    let side = finite ? max(right - left, bottom - top) * cropScale : .nan
    let (x, y) = ((left + right) / 2, (top + bottom) / 2)
    return Square(x: x * c + y * s, y: y * c - x * s, side: side, angle: angle)
}

/// The crop for the first network from a detector's box: a square about its centre, as in the training.
func squareOfBox(_ x0: Double, _ y0: Double, _ x1: Double, _ y1: Double) -> Region {
    let side = max(x1 - x0, y1 - y0) * squareOfBoxScale
    return Region(left: (x0 + x1 - side) / 2, top: (y0 + y1 - side) / 2, width: side, height: side)
}

/// The square about the box of 68 points that networks for upright faces look at; x, y, x, y, ... in pixels.
func regionAround(_ pointsPx: [Float]) -> Region {
    var (left, right) = (Double.infinity, -Double.infinity)
    var (top, bottom) = (Double.infinity, -Double.infinity)
    var finite = true
    for i in stride(from: 0, to: pointsPx.count, by: 2) {
        let (x, y) = (Double(pointsPx[i]), Double(pointsPx[i + 1]))
        finite = finite && x.isFinite && y.isFinite
        (left, right) = (min(left, x), max(right, x))
        (top, bottom) = (min(top, y), max(bottom, y))
    }
    let side = finite ? max(right - left, bottom - top) * cropScale : .nan
    return Region(left: (left + right - side + 1) / 2, top: (top + bottom - side + 1) / 2, width: side, height: side)
}

/// Turns one square after the other into the input tensor; keeps its memory.
///
/// A pixel of the crop is the mean of k x k bilinear samples, k = ceil(side / size), 32 at most; beyond the picture's
/// border edge pixels repeat.
final class SquareSampler {
    /// (1, 3, size, size) RGB in [0, 1]; overwritten by every `sample`.
    private(set) var tensor: [Float]
    private let size: Int
    private var row: [Float] = []
    /// Red, green, blue of the part of the picture that the square touches.
    private var pixels: [UInt8] = []
    private var left = 0
    private var top = 0
    private var columns = 0
    private var rows = 0

    init(_ size: Int) {
        self.size = size
        tensor = Array(repeating: 0, count: 3 * size * size)
    }

    /// Fill `tensor`.
    func sample(_ source: any PixelSource, _ square: Square) throws {
        let side = square.side
        guard square.fits(.greatestFiniteMagnitude), side >= 0 else {
            throw OnParError.badInput("\(square) has no crop; allowed: finite numbers, a side of 0 or more")
        }
        let fine = Int(min(max((side / Double(size)).rounded(.up), 1), mostSamples))
        let (c, s) = (cos(square.angle * .pi / 180), sin(square.angle * .pi / 180))
        read(source, square, reach: side / 2 * (abs(c) + abs(s)))
        let step = side / Double(size * fine)
        let scale = 1 / Double(255 * fine * fine)
        let (startX, startY) = (square.x - Double(left), square.y - Double(top))
        let part = Part(columns: columns, rows: rows)
        tensor.withUnsafeMutableBufferPointer { tensor in
            pixels.withUnsafeBufferPointer { pixels in
                for oy in 0..<size {
                    for ox in 0..<size {
                        var sum = SIMD3<Double>()
                        for j in 0..<fine {
                            let v = (Double(oy * fine + j) + 0.5) * step - side / 2
                            for i in 0..<fine {
                                let u = (Double(ox * fine + i) + 0.5) * step - side / 2
                                sum += part.at(startX + u * c + v * s, startY - u * s + v * c, pixels)
                            }
                        }
                        for k in 0..<3 { tensor[(k * size + oy) * size + ox] = Float(sum[k] * scale) }
                    }
                }
            }
        }
    }

    /// Copies what lies within `reach` of the square's centre, one pixel at least: what is beyond is as its edge.
    private func read(_ source: any PixelSource, _ square: Square, reach: Double) {
        func clamp(_ value: Double, _ low: Int, _ high: Int) -> Int {
            Int(min(max(value.rounded(.down), Double(low)), Double(high)))
        }
        left = clamp(square.x - reach, 0, source.width - 1)
        top = clamp(square.y - reach, 0, source.height - 1)
        columns = clamp(square.x + reach + 1, left, source.width - 1) - left + 1
        rows = clamp(square.y + reach + 1, top, source.height - 1) - top + 1
        if row.count < 3 * columns { row = Array(repeating: 0, count: 3 * columns) }
        if pixels.count < 3 * columns * rows { pixels = Array(repeating: 0, count: 3 * columns * rows) }
        row.withUnsafeMutableBufferPointer { row in
            pixels.withUnsafeMutableBufferPointer { pixels in
                for y in 0..<rows {
                    source.readRow(top + y, first: left, count: columns, into: row.baseAddress!)
                    for x in 0..<columns {
                        for k in 0..<3 { pixels[3 * (y * columns + x) + k] = UInt8(row[k * columns + x]) }
                    }
                }
            }
        }
    }
}

/// The size of a part of a picture, and what lies between its pixels.
private struct Part {
    let columns, rows: Int

    /// One bilinear sample.
    @inline(__always)
    func at(_ x: Double, _ y: Double, _ pixels: UnsafeBufferPointer<UInt8>) -> SIMD3<Double> {
        let inX = min(max(x, 0), Double(columns - 1))
        let inY = min(max(y, 0), Double(rows - 1))
        let (x0, y0) = (Int(inX), Int(inY))
        let (across, down) = (inX - Double(x0), inY - Double(y0))
        let upper = 3 * (y0 * columns + x0)
        let lower = y0 + 1 < rows ? upper + 3 * columns : upper
        let right = x0 + 1 < columns ? 3 : 0
        func pixel(_ at: Int) -> SIMD3<Double> {
            SIMD3(Double(pixels[at]), Double(pixels[at + 1]), Double(pixels[at + 2]))
        }
        let above = pixel(upper) * (1 - across) + pixel(upper + right) * across
        let below = pixel(lower) * (1 - across) + pixel(lower + right) * across
        return above * (1 - down) + below * down
    }
}

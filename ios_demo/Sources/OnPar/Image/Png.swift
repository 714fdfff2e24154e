import CZlib
import Foundation

/// Reads the PNG files of golden inputs and depth maps: 8-bit RGB or RGBA, or 16-bit grey, not interlaced.
///
/// The system's own reader converts colours; for photos of the user it is the right one.
public enum Png {
    public static func picture(_ content: Data) throws -> Picture {
        let image = try decode([UInt8](content))
        guard image.bits == 8, image.color == 2 || image.color == 6 else {
            throw OnParError.badInput(
                "the PNG has \(image.bits) bits, colour type \(image.color); allowed: 8-bit RGB or RGBA")
        }
        return try Picture(width: image.width, height: image.height, bytes: image.rows)
    }

    /// Rows from the top, big-endian samples; `color` is PNG's colour type.
    struct Image {
        let width, height, bits, color: Int
        let rows: [UInt8]
    }

    static func decode(_ bytes: [UInt8]) throws -> Image {
        guard bytes.count >= 33, bytes[0..<8] == [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A],
            name(bytes, 12) == "IHDR"
        else { throw OnParError.badInput("the file is no PNG; give a PNG file") }
        let (width, height) = (integer(bytes, 16), integer(bytes, 20))
        try checkSize(width, height)
        let (bits, color) = (Int(bytes[24]), Int(bytes[25]))
        guard let samples = [0: 1, 2: 3, 6: 4][color], bits == 8 || bits == 16, bytes[28] == 0 else {
            throw OnParError.badInput(
                "the PNG has \(bits) bits, colour type \(color); allowed: 8-bit RGB or RGBA, 16-bit grey, not interlaced"
            )
        }
        let pixel = samples * bits / 8
        let packed = try inflate(pixelChunks(bytes), height * (width * pixel + 1))
        return Image(
            width: width, height: height, bits: bits, color: color,
            rows: try unfilter(packed, stride: width * pixel, height: height, pixel: pixel))
    }

    private static func integer(_ bytes: [UInt8], _ at: Int) -> Int {
        bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
    }

    private static func name(_ bytes: [UInt8], _ at: Int) -> String {
        String(decoding: bytes[at..<at + 4], as: UTF8.self)
    }

    private static func pixelChunks(_ bytes: [UInt8]) -> [UInt8] {
        var (at, found) = (8, [UInt8]())
        while at + 12 <= bytes.count {
            let length = integer(bytes, at)
            guard at + 12 + length <= bytes.count else { break }
            if name(bytes, at + 4) == "IDAT" { found += bytes[at + 8..<at + 8 + length] }
            at += 12 + length
        }
        return found
    }

    private static func inflate(_ packed: [UInt8], _ size: Int) throws -> [UInt8] {
        var out = [UInt8](repeating: 0, count: size)
        var length = uLongf(size)
        let status = uncompress(&out, &length, packed, uLong(packed.count))
        guard status == Z_OK, length == size else {
            throw OnParError.badInput("the PNG is damaged (zlib status \(status)); give the file again")
        }
        return out
    }

    /// Undo the filter of each row (PNG, chapter 9).
    private static func unfilter(_ packed: [UInt8], stride: Int, height: Int, pixel: Int) throws -> [UInt8] {
        var rows = [UInt8](repeating: 0, count: height * stride)
        for y in 0..<height {
            let filter = packed[y * (stride + 1)]
            guard filter <= 4 else {
                throw OnParError.badInput(
                    "the PNG is damaged: row \(y) has filter \(filter); allowed: 0 to 4; give the file again")
            }
            for x in 0..<stride {
                let at = y * stride + x
                let left = x >= pixel ? Int(rows[at - pixel]) : 0
                let up = y > 0 ? Int(rows[at - stride]) : 0
                let corner = x >= pixel && y > 0 ? Int(rows[at - stride - pixel]) : 0
                let predicted =
                    switch filter {
                    case 1: left
                    case 2: up
                    case 3: (left + up) / 2
                    case 4: paeth(left, up, corner)
                    default: 0
                    }
                rows[at] = packed[y * (stride + 1) + 1 + x] &+ UInt8(predicted)
            }
        }
        return rows
    }

    private static func paeth(_ left: Int, _ up: Int, _ corner: Int) -> Int {
        let estimate = left + up - corner
        let (l, u, c) = (abs(estimate - left), abs(estimate - up), abs(estimate - corner))
        return l <= u && l <= c ? left : u <= c ? up : corner
    }
}

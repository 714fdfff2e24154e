import Foundation

extension Png {
    /// A depth map from a PNG file: 16-bit grey, not interlaced, in millimetres.
    public static func depthMap(_ content: Data) throws -> DepthMap {
        let image = try decode([UInt8](content))
        guard image.bits == 16, image.color == 0 else {
            throw OnParError.badInput(
                "the PNG has \(image.bits) bits, colour type \(image.color); a depth map is 16-bit grey, in millimetres"
            )
        }
        let values = (0..<image.width * image.height).map {
            UInt16(image.rows[2 * $0]) << 8 | UInt16(image.rows[2 * $0 + 1])
        }
        return try DepthMap(width: image.width, height: image.height, millimetres: values)
    }
}

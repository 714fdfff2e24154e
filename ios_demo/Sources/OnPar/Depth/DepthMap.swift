/// Distances in millimetres from the viewer, 0 where nothing was measured.
public struct DepthMap: Sendable {
    public let width: Int
    public let height: Int
    public let millimetres: [UInt16]

    public init(width: Int, height: Int, millimetres: [UInt16]) throws {
        try checkSize(width, height)
        guard millimetres.count == width * height else {
            throw OnParError.badInput(
                "depth map has \(millimetres.count) values; \(width)x\(height) pixels need one each")
        }
        (self.width, self.height, self.millimetres) = (width, height, millimetres)
    }
}

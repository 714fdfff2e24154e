#if canImport(CoreVideo) && canImport(CoreGraphics)
    import CoreGraphics
    import CoreVideo
    import Foundation

    extension YuvFrame {
        /// A camera's pixel buffer of two planes (420f or 420v), turned upright.
        ///
        /// - Parameter orientation: the EXIF value, 6 for a phone held upright with its back camera.
        public init(_ buffer: CVPixelBuffer, orientation: Int) throws {
            let format = CVPixelBufferGetPixelFormatType(buffer)
            guard
                format == kCVPixelFormatType_420YpCbCr8BiPlanarFullRange
                    || format == kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange
            else { throw OnParError.badInput("pixel buffer has format \(format); allowed: 420f and 420v") }
            CVPixelBufferLockBaseAddress(buffer, .readOnly)
            defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
            let planes = (0..<2).map { i -> (bytes: [UInt8], stride: Int) in
                let stride = CVPixelBufferGetBytesPerRowOfPlane(buffer, i)
                // The second plane's samples are pairs of bytes. Its last row may end without the padding.
                let row = CVPixelBufferGetWidthOfPlane(buffer, i) * (i + 1)
                let count = Plane.bytes(rows: CVPixelBufferGetHeightOfPlane(buffer, i), of: row, stride: stride)
                let start = CVPixelBufferGetBaseAddressOfPlane(buffer, i)
                return (Array(UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count)), stride)
            }
            let matrix = CVBufferCopyAttachment(buffer, kCVImageBufferYCbCrMatrixKey, nil) as? String
            try self.init(
                width: CVPixelBufferGetWidth(buffer), height: CVPixelBufferGetHeight(buffer),
                y: Plane(data: planes[0].bytes, rowStride: planes[0].stride),
                u: Plane(data: planes[1].bytes, rowStride: planes[1].stride, pixelStride: 2),
                v: Plane(data: Array(planes[1].bytes.dropFirst()), rowStride: planes[1].stride, pixelStride: 2),
                orientation: orientation,
                range: format == kCVPixelFormatType_420YpCbCr8BiPlanarFullRange ? .full : .limited,
                matrix: matrix == kCVImageBufferYCbCrMatrix_ITU_R_601_4 as String ? .bt601 : .bt709)
        }
    }

    extension Picture {
        /// The pixels of a picture in sRGB.
        ///
        /// - Parameter orientation: the EXIF value that the file states.
        public init(_ image: CGImage, orientation: Int = 1) throws {
            var bytes = [UInt8](repeating: 255, count: max(4 * image.width * image.height, 1))
            let context = CGContext(
                data: &bytes, width: image.width, height: image.height, bitsPerComponent: 8,
                bytesPerRow: 4 * image.width,
                space: CGColorSpace(name: CGColorSpace.sRGB)!, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
            guard let context else {
                throw OnParError.badInput("the picture has \(image.width)x\(image.height) pixels; give one with pixels")
            }
            context.draw(image, in: CGRect(x: 0, y: 0, width: image.width, height: image.height))
            try self.init(width: image.width, height: image.height, bytes: bytes, orientation: orientation)
        }
    }
#endif

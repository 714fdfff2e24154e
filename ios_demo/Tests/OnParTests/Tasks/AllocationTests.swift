import CAllocations
import Foundation
import OnParLiteRT
import Testing

@testable import OnPar

/// In video mode a frame costs the memory of its result and nothing else.
///
/// The detectors are actors, whose work wanders from thread to thread; what they do for a frame is done here on one.
@Suite(.enabled(if: onpar_allocated_bytes() >= 0, "this C library can't be listened to")) struct AllocationTests {
    /// Small objects that describe a result or pass it on; an array for a row of the picture alone would be larger.
    private let smallObjects = 4096
    private let warmUp = 10
    private let frames = 10

    /// A camera frame, or a picture with faces; the box moves and grows and shrinks, as a face does.
    private func perFrame<Value>(
        _ model: String, boxed: Bool, _ decode: (Tensors, Context) throws -> Value, bytesOf: (Value) -> Int
    ) throws -> Int {
        let bundle = try Bundle(bundleFolder(model))
        let runner = try LiteRTRunner(bundle, library: liteRT)
        let noise = (0..<640 * 480).map { UInt8(truncatingIfNeeded: $0 &* 7919 >> 4) }
        let chroma = Plane(data: noise, rowStride: 320)
        let camera = try YuvFrame(
            width: 640, height: 480, y: Plane(data: noise, rowStride: 640), u: chroma, v: chroma, orientation: 6)
        let picture: any PixelSource =
            model == "face_detector" ? try Png.picture(bundle.file(bundle.manifest.golden[0].raw)) : camera
        let preprocessor = PicturePreprocessor(try bundle.manifest.preprocess)
        func frame(_ i: Int) throws -> Value {
            let box = Box(
                x0: 20 + 3 * Double(i % 8), y0: 30, x1: 300 + 20 * Double(i % 4), y1: 310 + 25 * Double(i % 3))
            let (region, width, height) = try preprocessor.prepare(picture, box: boxed ? box : nil)
            let outputs = try runner.run(preprocessor.tensor)
            return try decode(
                outputs,
                Context(manifest: bundle.manifest, region: region, pictureWidth: width, pictureHeight: height))
        }
        return try excess(frame, bytesOf: bytesOf)
    }

    /// Bytes a frame beyond the result's.
    private func excess<Value>(_ frame: (Int) throws -> Value, bytesOf: (Value) -> Int) throws -> Int {
        for i in 0..<warmUp { _ = try frame(i) }
        var results = 0
        let before = onpar_allocated_bytes()
        for i in 0..<frames { results += bytesOf(try frame(i)) }
        return (Int(onpar_allocated_bytes() - before) - results) / frames
    }

    @Test func theCounterSeesAnArray() {
        let before = onpar_allocated_bytes()
        let array = [Float](repeating: 1, count: 10_000)
        #expect(onpar_allocated_bytes() - before >= 4 * array.count)
    }

    @Test(arguments: [false, true]) func aClass(_ boxed: Bool) throws {
        #expect(try perFrame("classifier", boxed: boxed, toClassification, bytesOf: { _ in 0 }) < smallObjects)
    }

    @Test func faces() throws {
        #expect(try perFrame("face_detector", boxed: false, toFaceBoxes, bytesOf: { _ in 0 }) < smallObjects)
    }

    @Test(arguments: [false, true]) func points(_ boxed: Bool) throws {
        let found = try perFrame("template_keypoints", boxed: boxed, toKeypoints, bytesOf: { 8 * $0.pointsPx.count })
        #expect(found < smallObjects)
    }

    @Test(arguments: [false, true]) func aMask(_ boxed: Bool) throws {
        let scaler = GridScaler()
        let found = try perFrame(
            "saliency", boxed: boxed, { try toMask($0, $1, scaler) }, bytesOf: { 4 * $0.values.count })
        #expect(found < smallObjects)
    }

    @Test(arguments: [false, true]) func aMesh(_ boxed: Bool) throws {
        let topology = try FaceTopology(of: Bundle(bundleFolder("face3d")))
        let found = try perFrame(
            "face3d", boxed: boxed, { try toFaceMesh($0, $1, topology) },
            bytesOf: { 4 * ($0.verticesPx.count + $0.neutral.count) })
        #expect(found < smallObjects)
    }

    @Test func aSolid() throws {
        let bundle = try Bundle(bundleFolder("voxel64"))
        let runner = try LiteRTRunner(bundle, library: liteRT)
        let depth = try Png.depthMap(bundle.file(bundle.manifest.golden[0].raw))
        let preprocessor = DepthPreprocessor(try bundle.manifest.preprocess)
        func frame(_ i: Int) throws -> VoxelGrid {
            let (region, width, height) = try preprocessor.prepare(depth, box: nil)
            let context = Context(
                manifest: bundle.manifest, region: region, pictureWidth: width, pictureHeight: height)
            return try toVoxelGrid(runner.run(preprocessor.tensor), context)
        }
        #expect(try excess(frame, bytesOf: { 4 * $0.occupancy.count }) < smallObjects)
    }
}

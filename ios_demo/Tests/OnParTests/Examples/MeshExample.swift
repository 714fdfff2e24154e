import Foundation
import OnPar

/// The example of docs/embed.md.
func reconstructFaces(
    _ detector: OnParBundle, _ face3d: OnParBundle, _ picture: any PixelSource, runner: RunnerFactory
) async throws -> [String] {
    var told: [String] = []
    // docs: begin
    let reconstructor = try FaceReconstructor.fromBundles(detector: detector, face3d: face3d, runner: runner)
    for face in try await reconstructor.detect(picture).value {
        told.append("\(face.verticesPx.count / 3) vertices, turned by \(Int(face.poseDegrees.yaw)) degrees")
    }
    await reconstructor.close()
    // docs: end
    return told
}

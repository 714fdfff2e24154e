import Foundation
import OnPar

/// The example of docs/embed.md.
func findFaces(
    _ detector: OnParBundle, _ keypoints: OnParBundle, _ frames: [any PixelSource], runner: RunnerFactory
) async throws -> [String] {
    var told: [String] = []
    // docs: begin
    let faces = try FaceKeypointDetector.fromBundles(detector: detector, keypoints: keypoints, runner: runner)
    for (i, frame) in frames.enumerated() {
        let found = try await faces.detectForVideo(frame, timestampMs: 33 * i)?.value ?? []
        for face in found { told.append("\(face.pointsPx.count / 2) points, followed: \(face.tracked)") }
    }
    await faces.close()
    // docs: end
    return told
}

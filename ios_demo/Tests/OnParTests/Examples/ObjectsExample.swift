import Foundation
import OnPar

/// The example of docs/embed.md.
func findObjects(_ bundle: OnParBundle, _ picture: any PixelSource, runner: RunnerFactory) async throws -> [String] {
    // docs: begin
    let detector = try ObjectDetector.fromBundle(bundle, runner: runner)
    let found = try await detector.detect(picture).value.objects
    await detector.close()
    return found.map { "\($0.label) \(Int(100 * $0.score)) %, from x \(Int($0.x0)) to \(Int($0.x1))" }
    // docs: end
}

import Foundation
import OnPar

/// The example of docs/embed.md.
func classify(_ folder: URL, _ png: Data, runner: RunnerFactory) async throws -> String {
    // docs: begin
    let classifier = try ImageClassifier.fromBundle(OnParBundle(folder), runner: runner)
    let detection = try await classifier.detect(Png.picture(png))
    await classifier.close()
    return "\(detection.value.label) \(Int(100 * detection.value.score)) %, \(detection.timings.inferenceMs) ms"
    // docs: end
}

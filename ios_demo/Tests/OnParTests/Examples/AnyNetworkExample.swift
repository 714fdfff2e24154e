import Foundation
import OnPar

/// The example of docs/embed.md for networks that OnPar does not know.
func runTensors(_ bundle: OnParBundle, _ features: [Float], runner: RunnerFactory) async throws -> String {
    // docs: begin
    let model = try TensorModel.fromBundle(bundle, runner: runner)
    let outputs = try await model.run(["features": .float(features), "words": .int64([7])]).value
    let scores = outputs["scores"]?.floats ?? []
    await model.close()
    return "\(model.inputs.map { "\($0.name) \($0.dtype)" }) give \(scores.count) scores"
    // docs: end
}

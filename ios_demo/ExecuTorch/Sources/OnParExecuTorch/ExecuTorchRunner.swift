import ExecuTorch
import Foundation
import OnPar

/// ExecuTorch: `executorch` runs on XNNPACK, `executorch_coreml` through Core ML.
public final class ExecuTorchRunner: Runner, @unchecked Sendable {
    public let backend: String
    private var module: Module?
    private let entry: ModelFile

    /// - Parameter runtime: `executorch` or `executorch_coreml`.
    public init(_ bundle: OnParBundle, runtime: String = "executorch") throws {
        guard let entry = bundle.artifact(runtime) else {
            throw OnParError.backendUnavailable(
                "\(bundle.name) holds no .pte file for \(runtime); export it with --target ios")
        }
        try demandFloats(entry, "ExecuTorch")
        self.entry = entry
        backend = runtime == "executorch" ? "ExecuTorch XNNPACK" : "ExecuTorch Core ML"
        let module = Module(filePath: try bundle.url(entry.file).path)
        do {
            try module.load("forward")
        } catch {
            throw OnParError.runtimeTooOld(
                "ExecuTorch can't load \(entry.file) (\(error.localizedDescription)); it needs \(entry.minimumRuntime)")
        }
        self.module = module
    }

    public func run(_ input: [Float]) throws -> Tensors {
        guard let module else { throw OnParError.badInput("the runner is closed; open the bundle again") }
        let results = try module.forward(Tensor<Float>(input, shape: entry.inputs[0].shape))
        guard results.count == entry.outputs.count else {
            throw OnParError.backendUnavailable(
                "ExecuTorch gave \(results.count) outputs for \(entry.file); needed: \(entry.outputs.count); export again"
            )
        }
        var named: Tensors = [:]
        for (output, result) in zip(entry.outputs, results) {
            guard let tensor: Tensor<Float> = result.tensor() else {
                throw OnParError.bundleInvalid("output '\(output.name)' is no float tensor; export the bundle again")
            }
            named[output.name] = tensor.scalars()
        }
        return named
    }

    public func close() { module = nil }
}

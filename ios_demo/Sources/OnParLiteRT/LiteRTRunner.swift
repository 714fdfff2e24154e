import COnParLiteRT
import Foundation
import OnPar

/// LiteRT on the CPU, through its C API (onpar_litert.h).
public final class LiteRTRunner: Runner, @unchecked Sendable {
    public let backend = "LiteRT CPU"
    private var model: OpaquePointer?
    private let entry: ModelFile
    /// What the model writes into.
    private let memory: [UnsafeMutablePointer<Float>?]
    /// Filled again by every run; an array that a result keeps is replaced by a new one.
    private var outputs: Tensors

    /// - Parameter library: path or name of libLiteRt.
    public init(_ bundle: OnPar.Bundle, library: String = "libLiteRt.so") throws {
        guard let entry = bundle.artifact("litert"), entry.inputs.count == 1 else {
            throw OnParError.backendUnavailable("\(bundle.name) holds no .tflite file; export it with --target android")
        }
        self.entry = entry
        let content = [UInt8](try bundle.file(entry.file))
        guard content.count >= 8, content[4..<8] == [0x54, 0x46, 0x4C, 0x33] else {
            throw OnParError.bundleInvalid("\(entry.file) is no .tflite file; export the bundle again")
        }
        memory = entry.outputs.map { .allocate(capacity: $0.size) }
        outputs = Dictionary(
            uniqueKeysWithValues: entry.outputs.map { ($0.name, Array(repeating: 0, count: $0.size)) })
        let names = entry.outputs.map { strdup($0.name) }
        defer { for name in names { free(name) } }
        var error = [CChar](repeating: 0, count: 512)
        let status = onpar_open(
            library, content, content.count, entry.inputs[0].name, entry.inputs[0].size, Int32(names.count),
            names.map { UnsafePointer($0) }, entry.outputs.map(\.size), &model, &error, error.count)
        if status != ONPAR_OK { throw LiteRTRunner.failure(status, String(cString: error), entry) }
    }

    deinit {
        close()
        for values in memory { values?.deallocate() }
    }

    public func run(_ input: [Float]) throws -> Tensors {
        guard let model else { throw OnParError.badInput("the runner is closed; open the bundle again") }
        guard input.count == entry.inputs[0].size else {
            throw OnParError.badInput("input has \(input.count) values; \(entry.file) needs \(entry.inputs[0].size)")
        }
        let status = onpar_run(model, input, memory)
        if status != 0 {
            throw OnParError.backendUnavailable(
                "LiteRT could not run \(entry.file) (status \(status)); restart the app")
        }
        for (output, values) in zip(entry.outputs, memory) {
            outputs[output.name]!.withUnsafeMutableBufferPointer {
                $0.baseAddress?.update(from: values!, count: $0.count)
            }
        }
        return outputs
    }

    public func close() {
        onpar_close(model)
        model = nil
    }

    private static func failure(_ status: onpar_status, _ text: String, _ entry: ModelFile) -> OnParError {
        switch status {
        case ONPAR_NO_LIBRARY: .backendUnavailable("LiteRT can't be loaded (\(text)); pack its library into the app")
        case ONPAR_BAD_MODEL:
            .runtimeTooOld(
                "LiteRT can't load \(entry.file) (\(text)); it needs \(entry.minimumRuntime), or the file is damaged: export again"
            )
        default: .bundleInvalid("\(entry.file): \(text); export the bundle again")
        }
    }
}

import COnParLiteRT
import Foundation
import OnPar

/// LiteRT on the CPU, through its C API (onpar_litert.h).
public final class LiteRTRunner: Runner, @unchecked Sendable {
    public let backend = "LiteRT CPU"
    private var model: OpaquePointer?
    private let manifest: Manifest
    private let entry: ModelFile
    /// What the model writes into, and where it reads from, in the order of bundle.json.
    private let memory: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private let given: UnsafeMutablePointer<UnsafeRawPointer?>
    /// Filled again by every run; an array that a result keeps is replaced by a new one.
    private var outputs: Tensors

    /// - Parameter library: path or name of libLiteRt.
    public init(_ bundle: OnPar.Bundle, library: String = "libLiteRt.so") throws {
        guard let entry = bundle.artifact("litert") else {
            throw OnParError.backendUnavailable("\(bundle.name) holds no .tflite file; export it with --target android")
        }
        (self.entry, manifest) = (entry, bundle.manifest)
        let content = [UInt8](try bundle.file(entry.file))
        guard content.count >= 8, content[4..<8] == [0x54, 0x46, 0x4C, 0x33] else {
            throw OnParError.bundleInvalid("\(entry.file) is no .tflite file; export the bundle again")
        }
        memory = .allocate(capacity: entry.outputs.count)
        for (i, tensor) in entry.outputs.enumerated() {
            memory[i] = .allocate(byteCount: max(1, tensor.size * tensor.dtype.bytes), alignment: 16)
        }
        given = .allocate(capacity: max(1, entry.inputs.count))
        given.initialize(repeating: nil, count: max(1, entry.inputs.count))
        outputs = Dictionary(
            uniqueKeysWithValues: entry.outputs.map { ($0.name, Array(repeating: 0, count: $0.size)) })
        let tensors = (entry.inputs + entry.outputs).map {
            onpar_tensor(name: strdup($0.name), type: $0.dtype.liteRT, size: $0.size)
        }
        defer { for tensor in tensors { free(UnsafeMutablePointer(mutating: tensor.name)) } }
        let (ins, outs) = (Array(tensors.prefix(entry.inputs.count)), Array(tensors.suffix(entry.outputs.count)))
        var error = [CChar](repeating: 0, count: 512)
        let status = onpar_open(
            library, content, content.count, ins, Int32(ins.count), outs, Int32(outs.count), &model, &error, error.count)
        if status != ONPAR_OK { throw LiteRTRunner.failure(status, String(cString: error), entry) }
    }

    deinit {
        close()
        for i in entry.outputs.indices { memory[i]?.deallocate() }
        memory.deallocate()
        given.deallocate()
    }

    public func run(_ input: [Float]) throws -> Tensors {
        guard model != nil else { throw OnParError.badInput("the runner is closed; open the bundle again") }
        guard entry.inputs.count == 1, entry.inputs[0].dtype == .float32 else {
            let found = entry.inputs.map { "\($0.dtype.rawValue) '\($0.name)'" }.joined(separator: ", ")
            throw OnParError.badInput("\(entry.file) takes \(found); open it with TensorModel")
        }
        guard input.count == entry.inputs[0].size else {
            throw OnParError.badInput("input has \(input.count) values; \(entry.file) needs \(entry.inputs[0].size)")
        }
        try input.withUnsafeBytes { bytes in
            given[0] = bytes.baseAddress
            try call()
        }
        for (i, output) in entry.outputs.enumerated() {
            if output.dtype == .float32 {
                outputs[output.name]!.withUnsafeMutableBytes {
                    $0.baseAddress?.copyMemory(from: memory[i]!, byteCount: $0.count)
                }
            } else {
                outputs[output.name] = values(i).floats
            }
        }
        return outputs
    }

    public func runTensors(_ inputs: NamedValues) throws -> NamedValues {
        try checkInputs(manifest.inputs, inputs)
        let encoded = try entry.inputs.map { try inputs[$0.name]!.encoded(as: $0.dtype, $0.name) }
        let copies = encoded.map { bytes in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 16)
            copy.copyBytes(from: bytes)
            return copy
        }
        defer { for copy in copies { copy.deallocate() } }
        for (i, copy) in copies.enumerated() { given[i] = UnsafeRawPointer(copy.baseAddress) }
        try call()
        let types = Dictionary(uniqueKeysWithValues: manifest.outputs.map { ($0.name, $0.dtype) })
        return Dictionary(
            uniqueKeysWithValues: entry.outputs.enumerated().map { i, output in
                (output.name, values(i).widened(to: types[output.name] ?? output.dtype))
            })
    }

    private func call() throws {
        guard let model else { throw OnParError.badInput("the runner is closed; open the bundle again") }
        let status = onpar_run(model, given, memory)
        if status != 0 {
            throw OnParError.backendUnavailable(
                "LiteRT could not run \(entry.file) (status \(status)); restart the app")
        }
    }

    private func values(_ output: Int) -> TensorValues {
        let tensor = entry.outputs[output]
        return TensorValues(bytes: Data(bytes: memory[output]!, count: tensor.size * tensor.dtype.bytes), tensor.dtype)
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

extension DType {
    fileprivate var liteRT: Int32 {
        switch self {
        case .float32: Int32(ONPAR_FLOAT32)
        case .float16: Int32(ONPAR_FLOAT16)
        case .int32: Int32(ONPAR_INT32)
        case .int64: Int32(ONPAR_INT64)
        case .uint8: Int32(ONPAR_UINT8)
        case .bool: Int32(ONPAR_BOOL)
        }
    }
}

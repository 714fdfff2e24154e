#if canImport(CoreML)
    import CoreML
    import Foundation

    /// Core ML: the Neural Engine, the GPU or the CPU, as the system chooses.
    public final class CoreMLRunner: Runner, @unchecked Sendable {
        public let backend: String
        private var model: MLModel?
        private let manifest: Manifest
        private let entry: ModelFile
        private let inputs: [MLMultiArray]

        /// - Parameter computeUnits: which processors Core ML may use.
        public init(_ bundle: Bundle, computeUnits: MLComputeUnits = .all) throws {
            guard let entry = bundle.artifact("coreml") else {
                throw OnParError.backendUnavailable("\(bundle.name) holds no .mlpackage; export it with --target ios")
            }
            (self.entry, manifest) = (entry, bundle.manifest)
            let types = try entry.inputs.map { try CoreMLRunner.type(of: $0, entry) }
            backend = "Core ML, \(computeUnits.name)"
            let configuration = MLModelConfiguration()
            configuration.computeUnits = computeUnits
            do {
                let compiled = try MLModel.compileModel(at: bundle.url(entry.file))
                defer { try? FileManager.default.removeItem(at: compiled) }
                model = try MLModel(contentsOf: compiled, configuration: configuration)
                inputs = try zip(entry.inputs, types).map { tensor, type in
                    // Core ML has no tensors without a dimension.
                    let shape = tensor.shape.isEmpty ? [1] : tensor.shape
                    return try MLMultiArray(shape: shape.map { NSNumber(value: $0) }, dataType: type)
                }
            } catch let error as OnParError {
                throw error
            } catch {
                throw OnParError.runtimeTooOld(
                    "Core ML can't load \(entry.file) (\(error.localizedDescription)); it needs \(entry.minimumRuntime)"
                )
            }
        }

        public func run(_ values: [Float]) throws -> Tensors {
            guard entry.inputs.count == 1, entry.inputs[0].dtype == .float32 else {
                throw OnParError.badInput("\(entry.file) takes \(entry.inputs.count) inputs; open it with TensorModel")
            }
            guard values.count == inputs[0].count else {
                throw OnParError.badInput("input has \(values.count) values; \(entry.file) needs \(inputs[0].count)")
            }
            inputs[0].withUnsafeMutableBufferPointer(ofType: Float.self) { memory, _ in _ = memory.update(from: values) }
            return try predict { MLShapedArray<Float>(converting: $0).scalars }
        }

        public func runTensors(_ given: NamedValues) throws -> NamedValues {
            try checkInputs(manifest.inputs, given)
            for (tensor, array) in zip(entry.inputs, inputs) {
                let bytes = try given[tensor.name]!.encoded(as: tensor.dtype, tensor.name)
                array.withUnsafeMutableBytes { memory, _ in memory.copyBytes(from: bytes) }
            }
            let types = Dictionary(uniqueKeysWithValues: manifest.outputs.map { ($0.name, $0.dtype) })
            let found = try predict { array -> TensorValues in
                array.dataType == .int32
                    ? .int32(MLShapedArray<Int32>(converting: array).scalars)
                    : .float(MLShapedArray<Float>(converting: array).scalars)
            }
            return found.reduce(into: [:]) { $0[$1.key] = $1.value.widened(to: types[$1.key] ?? .float32) }
        }

        /// Every output by name, read by a function.
        private func predict<Values>(_ read: (MLMultiArray) -> Values) throws -> [String: Values] {
            guard let model else { throw OnParError.badInput("the runner is closed; open the bundle again") }
            let named = Dictionary(uniqueKeysWithValues: zip(entry.inputs.map(\.name), inputs))
            let result = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: named))
            return try Dictionary(
                uniqueKeysWithValues: entry.outputs.map { output in
                    guard let array = result.featureValue(for: output.name)?.multiArrayValue else {
                        throw OnParError.bundleInvalid("the artifact gave no output '\(output.name)'; export again")
                    }
                    return (output.name, read(array))
                })
        }

        /// Core ML's inputs are floats or int32.
        private static func type(of tensor: TensorEntry, _ entry: ModelFile) throws -> MLMultiArrayDataType {
            switch tensor.dtype {
            case .float32: .float32
            case .float16: .float16
            case .int32: .int32
            default:
                throw OnParError.backendUnavailable(
                    "\(entry.file): input '\(tensor.name)' is \(tensor.dtype.rawValue); Core ML takes float32, float16, int32: export again"
                )
            }
        }

        public func close() { model = nil }
    }

    extension MLComputeUnits {
        fileprivate var name: String {
            switch self {
            case .cpuOnly: "CPU"
            case .cpuAndGPU: "CPU and GPU"
            case .cpuAndNeuralEngine: "CPU and Neural Engine"
            default: "all processors"
            }
        }
    }
#endif

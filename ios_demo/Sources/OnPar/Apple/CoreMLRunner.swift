#if canImport(CoreML)
    import CoreML
    import Foundation

    /// Core ML: the Neural Engine, the GPU or the CPU, as the system chooses.
    public final class CoreMLRunner: Runner, @unchecked Sendable {
        public let backend: String
        private var model: MLModel?
        private let entry: ModelFile
        private let input: MLMultiArray

        /// - Parameter computeUnits: which processors Core ML may use.
        public init(_ bundle: Bundle, computeUnits: MLComputeUnits = .all) throws {
            guard let entry = bundle.artifact("coreml") else {
                throw OnParError.backendUnavailable("\(bundle.name) holds no .mlpackage; export it with --target ios")
            }
            self.entry = entry
            backend = "Core ML, \(computeUnits.name)"
            let configuration = MLModelConfiguration()
            configuration.computeUnits = computeUnits
            do {
                let compiled = try MLModel.compileModel(at: bundle.url(entry.file))
                defer { try? FileManager.default.removeItem(at: compiled) }
                model = try MLModel(contentsOf: compiled, configuration: configuration)
                input = try MLMultiArray(shape: entry.inputs[0].shape.map { NSNumber(value: $0) }, dataType: .float32)
            } catch let error as OnParError {
                throw error
            } catch {
                throw OnParError.runtimeTooOld(
                    "Core ML can't load \(entry.file) (\(error.localizedDescription)); it needs \(entry.minimumRuntime)"
                )
            }
        }

        public func run(_ values: [Float]) throws -> Tensors {
            guard let model else { throw OnParError.badInput("the runner is closed; open the bundle again") }
            guard values.count == input.count else {
                throw OnParError.badInput("input has \(values.count) values; \(entry.file) needs \(input.count)")
            }
            input.withUnsafeMutableBufferPointer(ofType: Float.self) { memory, _ in _ = memory.update(from: values) }
            let name = entry.inputs[0].name
            let result = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: [name: input]))
            return try Dictionary(
                uniqueKeysWithValues: entry.outputs.map { output in
                    guard let array = result.featureValue(for: output.name)?.multiArrayValue else {
                        throw OnParError.bundleInvalid("the artifact gave no output '\(output.name)'; export again")
                    }
                    return (output.name, MLShapedArray<Float>(converting: array).scalars)
                })
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

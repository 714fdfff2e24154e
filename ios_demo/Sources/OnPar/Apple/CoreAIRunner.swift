#if canImport(CoreAI)
    import CoreAI
    import Foundation

    /// Core AI, from iOS 27: the Neural Engine, the GPU or the CPU, as the system chooses.
    @available(iOS 27, macOS 27, *)
    public final class CoreAIRunner: Runner, @unchecked Sendable {
        public let backend = "Core AI"
        private var function: InferenceFunction?
        private let descriptor: NDArrayDescriptor
        private let entry: ModelFile

        public init(_ bundle: Bundle) throws {
            guard let entry = bundle.artifact("coreai") else {
                throw OnParError.backendUnavailable(
                    "\(bundle.name) holds no .aimodel; export it with --target ios --with coreai")
            }
            try demandFloats(entry, "Core AI")
            self.entry = entry
            let url = try bundle.url(entry.file)
            do {
                let model = try wait { try await AIModel(contentsOf: url) }
                guard let loaded = try model.loadFunction(named: "main"),
                    case .ndArray(let tensor)? = model.functionDescriptor(for: "main")?.inputDescriptor(
                        of: entry.inputs[0].name)
                else {
                    throw OnParError.bundleInvalid("\(entry.file) has another input than bundle.json says; export again")
                }
                function = loaded
                descriptor = tensor.resolvingDynamicDimensions(entry.inputs[0].shape)
            } catch let error as OnParError {
                throw error
            } catch {
                throw OnParError.runtimeTooOld(
                    "Core AI can't load \(entry.file) (\(error.localizedDescription)); it needs \(entry.minimumRuntime)"
                )
            }
        }

        public func run(_ values: [Float]) throws -> Tensors {
            guard let function else { throw OnParError.badInput("the runner is closed; open the bundle again") }
            let input = entry.inputs[0]
            let needed = input.shape.reduce(1, *)
            guard values.count == needed else {
                throw OnParError.badInput("input has \(values.count) values; \(entry.file) needs \(needed)")
            }
            let descriptor = descriptor
            let outputs = entry.outputs
            let file = entry.file
            return try wait {
                var array = NDArray(descriptor: descriptor)
                var view = array.mutableView(as: Float.self)
                view.copyElements(fromContentsOf: values)
                var results = try await function.run(inputs: [input.name: array])
                var named: Tensors = [:]
                for output in outputs {
                    guard let result = results.remove(output.name)?.ndArray else {
                        throw OnParError.bundleInvalid("\(file) gave no output '\(output.name)'; export again")
                    }
                    named[output.name] = read(result, shape: output.shape)
                }
                return named
            }
        }

        public func close() { function = nil }
    }

    /// The values in row order, whatever gaps the system left between rows.
    @available(iOS 27, macOS 27, *)
    private func read(_ array: NDArray, shape: [Int]) -> [Float] {
        array.view(as: Float.self).withUnsafePointer { memory, _, strides in
            (0..<shape.reduce(1, *)).map { position in
                var rest = position
                var offset = 0
                for axis in stride(from: shape.count - 1, through: 0, by: -1) {
                    offset += rest % shape[axis] * strides[axis]
                    rest /= shape[axis]
                }
                return memory[offset]
            }
        }
    }

    /// Runs what is asynchronous to its end: a runner answers its caller, who is on a task of its own.
    private func wait<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) throws -> Value {
        let done = DispatchSemaphore(value: 0)
        let box = Answer<Value>()
        Task.detached {
            do { box.result = .success(try await work()) } catch { box.result = .failure(error) }
            done.signal()
        }
        done.wait()
        return try box.result!.get()
    }

    private final class Answer<Value>: @unchecked Sendable {
        var result: Result<Value, any Error>?
    }
#endif

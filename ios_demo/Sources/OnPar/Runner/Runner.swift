/// What runs an artifact. The detectors call it from one task at a time.
public protocol Runner: AnyObject, Sendable {
    /// For people: runtime and processor.
    var backend: String { get }

    /// Outputs by name for the one input tensor.
    func run(_ input: [Float]) throws -> Tensors

    /// Any inputs and outputs by name, in the network's own types.
    func runTensors(_ inputs: NamedValues) throws -> NamedValues

    func close()
}

extension Runner {
    /// Of a runner that does not say otherwise: one float32 input, and floats.
    public func runTensors(_ inputs: NamedValues) throws -> NamedValues {
        guard inputs.count == 1, case .float(let only)? = inputs.values.first else {
            throw OnParError.badInput("\(backend) takes one float32 input here; use LiteRTRunner or CoreMLRunner")
        }
        return try run(only).mapValues(TensorValues.float)
    }
}

/// Refuse an artifact that a runner for one float32 input and float32 outputs can't run.
public func demandFloats(_ entry: ModelFile, _ backend: String) throws {
    let tensors = entry.inputs + entry.outputs
    if entry.inputs.count == 1 && tensors.allSatisfy({ $0.dtype == .float32 }) { return }
    let found = tensors.map { "'\($0.name)' \($0.dtype.rawValue)" }.joined(separator: ", ")
    throw OnParError.backendUnavailable(
        "\(entry.file) has \(found); \(backend) runs one float32 input here: use LiteRTRunner or CoreMLRunner")
}

/// Opens a runner for a bundle.
public typealias RunnerFactory = @Sendable (Bundle) throws -> any Runner

/// A runner for each bundle; what was loaded is closed where another can't be.
func loadAll(_ bundles: [Bundle], _ runner: RunnerFactory) throws -> [any Runner] {
    var opened: [any Runner] = []
    do {
        for bundle in bundles { opened.append(try runner(bundle)) }
    } catch {
        for runner in opened { runner.close() }
        throw error
    }
    return opened
}

/// What runs an artifact. The detectors call it from one task at a time.
public protocol Runner: AnyObject, Sendable {
    /// For people: runtime and processor.
    var backend: String { get }

    /// Outputs by name for the one input tensor.
    func run(_ input: [Float]) throws -> Tensors

    func close()
}

/// Opens a runner for a bundle.
public typealias RunnerFactory = @Sendable (Bundle) throws -> any Runner

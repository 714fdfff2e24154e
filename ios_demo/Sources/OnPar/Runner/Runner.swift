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

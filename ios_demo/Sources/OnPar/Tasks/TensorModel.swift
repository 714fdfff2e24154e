import Dispatch

/// Any bundle, without a meaning: tensors by name in, tensors by name out. Calls run one after the other.
public actor TensorModel {
    public nonisolated let bundle: Bundle
    private let runner: any Runner
    private var closed = false

    private init(_ bundle: Bundle, _ runner: any Runner) { (self.bundle, self.runner) = (bundle, runner) }

    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> TensorModel {
        TensorModel(bundle, try runner(bundle))
    }

    /// Name, shape and type of what `run` takes.
    public nonisolated var inputs: [TensorEntry] { bundle.manifest.inputs }

    /// Name, shape and type of what `run` gives.
    public nonisolated var outputs: [TensorEntry] { bundle.manifest.outputs }

    /// Outputs by name. A picture counts as any other tensor.
    public func run(_ inputs: NamedValues) throws -> Detection<NamedValues> {
        if closed { throw OnParError.badInput("the model is closed; open the bundle again") }
        try checkInputs(self.inputs, inputs)
        let began = DispatchTime.now()
        let outputs = try runner.runTensors(inputs)
        let timings = Timings(preMs: 0, inferenceMs: milliseconds(began, DispatchTime.now()), postMs: 0)
        return Detection(value: outputs, timings: timings, backend: runner.backend)
    }

    /// Give the model's memory back; a call that runs is finished first, later ones are refused.
    public func close() {
        if !closed { runner.close() }
        closed = true
    }
}

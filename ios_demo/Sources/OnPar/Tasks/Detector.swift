import Dispatch

/// What turns an input into the tensor: pictures and depth maps have one each.
protocol Preparing {
    associatedtype Input
    var tensor: [Float] { get }
    func prepare(_ input: Input, box: Box?) throws -> (region: Region, width: Int, height: Int)
}

/// One loaded model. An actor: calls from several tasks run one after the other, closing waits for the one that runs.
///
/// The tasks are type aliases of it: a new one is a file beside this one, with result type, alias and decoder.
public actor Detector<Input: Sendable, Value: Sendable> {
    public nonisolated let bundle: Bundle
    private nonisolated let gate = Gate()
    private let runner: any Runner
    private let prepare: (Input, Box?) throws -> (tensor: [Float], context: Context)
    private let decode: (Tensors, Context) throws -> Value
    private var closed = false

    init<P: Preparing>(
        _ bundle: Bundle, _ runner: any Runner, _ preprocessor: sending P,
        _ decode: @escaping @Sendable (Tensors, Context) throws -> Value
    ) where P.Input == Input {
        self.bundle = bundle
        self.runner = runner
        self.decode = decode
        let manifest = bundle.manifest
        prepare = { input, box in
            let (region, width, height) = try preprocessor.prepare(input, box: box)
            let context = Context(manifest: manifest, region: region, pictureWidth: width, pictureHeight: height)
            return (preprocessor.tensor, context)
        }
    }

    /// Image mode: every call is answered.
    public nonisolated func detect(_ input: Input, box: Box? = nil) async throws -> Detection<Value> {
        gate.enter()
        defer { gate.leave() }
        return try await run(input, box)
    }

    /// Video mode: nil for a frame that is not newer than the last, or that comes while another is worked on.
    public nonisolated func detectForVideo(_ frame: Input, timestampMs: Int, box: Box? = nil) async throws -> Detection<
        Value
    >? {
        guard gate.tryEnter(timestampMs) else { return nil }
        defer { gate.leave() }
        return try await run(frame, box)
    }

    /// Give the model's memory back; a call that runs is finished first, later ones are refused.
    public func close() {
        if !closed { runner.close() }
        closed = true
    }

    private func run(_ input: Input, _ box: Box?) throws -> Detection<Value> {
        if closed { throw OnParError.badInput("the detector is closed; open the bundle again") }
        let began = DispatchTime.now()
        let (tensor, context) = try prepare(input, box)
        let prepared = DispatchTime.now()
        let outputs = try runner.run(tensor)
        let inferred = DispatchTime.now()
        let value = try decode(outputs, context)
        let timings = Timings(
            preMs: milliseconds(began, prepared), inferenceMs: milliseconds(prepared, inferred),
            postMs: milliseconds(inferred, DispatchTime.now()))
        return Detection(value: value, timings: timings, backend: runner.backend)
    }
}

extension PicturePreprocessor: Preparing {
    func prepare(_ input: any PixelSource, box: Box?) throws -> (region: Region, width: Int, height: Int) {
        (try run(input, box: box), input.width, input.height)
    }
}

extension DepthPreprocessor: Preparing {
    func prepare(_ input: DepthMap, box: Box?) throws -> (region: Region, width: Int, height: Int) {
        (try run(input, box: box), input.width, input.height)
    }
}

/// What the tasks that take pictures open alike.
func openTask<Value>(
    _ bundle: Bundle, _ result: String, _ runner: RunnerFactory,
    _ decode: @escaping @Sendable (Tensors, Context) throws -> Value
) throws -> Detector<any PixelSource, Value> {
    try demand(result, of: bundle)
    let spec = try bundle.manifest.preprocess
    return Detector(bundle, try runner(bundle), PicturePreprocessor(spec), decode)
}

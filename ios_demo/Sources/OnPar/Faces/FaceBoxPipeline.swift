import Dispatch

/// A face detector and the second network of its cascade: box, score and five points of every face, the surest first.
///
/// `FaceDetector.fromBundles` opens one. The second network looks at each box that may be a face in the picture's own
/// pixels. An actor: calls from several tasks run one after the other, closing waits for the one that runs.
public actor FaceBoxPipeline {
    private nonisolated let gate = Gate()
    private let runners: [any Runner]
    private let clock = StageClock()
    private let boxes: (any PixelSource) throws -> [FaceBox]
    private let backend: String
    private var closed = false

    /// Checks that the bundles belong together and loads them; what was loaded is closed where another can't be.
    init(detector: Bundle, judge: Bundle, runner: RunnerFactory) throws {
        try demand("FaceBoxes", of: detector)
        try demandJudge(judge)
        let opened = try loadAll([detector, judge], runner)
        runners = opened
        boxes = try boxFinder(detector, opened[0], clock, try FaceJudge(judge, opened[1], clock))
        backend = opened.reduce(into: [String]()) { if !$0.contains($1.backend) { $0.append($1.backend) } }
            .joined(separator: ", ")
    }

    /// Image mode: every face. Every call is answered.
    public nonisolated func detect(_ picture: any PixelSource) async throws -> Detection<FaceBoxes> {
        gate.enter()
        defer { gate.leave() }
        return try await run(picture)
    }

    /// Video mode: nil for a frame that is not newer than the last, or that comes while another is worked on.
    public nonisolated func detectForVideo(_ frame: any PixelSource, timestampMs: Int) async throws -> Detection<
        FaceBoxes
    >? {
        guard gate.tryEnter(timestampMs) else { return nil }
        defer { gate.leave() }
        return try await run(frame)
    }

    /// Give the models' memory back; a call that runs is finished first, later ones are refused.
    public func close() {
        if !closed { for runner in runners { runner.close() } }
        closed = true
    }

    private func run(_ picture: any PixelSource) throws -> Detection<FaceBoxes> {
        if closed { throw OnParError.badInput("the detector is closed; open the bundles again") }
        clock.start()
        let began = DispatchTime.now()
        let found = FaceBoxes(faces: try boxes(picture))
        let postMs = milliseconds(began, DispatchTime.now()) - clock.preMs - clock.inferenceMs
        let timings = Timings(preMs: clock.preMs, inferenceMs: clock.inferenceMs, postMs: max(0, postMs))
        return Detection(value: found, timings: timings, backend: backend)
    }
}

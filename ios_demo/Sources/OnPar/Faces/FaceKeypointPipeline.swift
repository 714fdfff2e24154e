import Dispatch

/// A face detector and one or two keypoint networks: every face of a picture, or faces followed through a video.
///
/// `FaceKeypointDetector.fromBundles` opens one. An actor: calls from several tasks run one after the other, closing
/// waits for the one that runs. In a video the detector runs only when a face is lost and every `checkEvery` frames, so
/// that a track that drifted onto something else ends and a new face is seen.
public actor FaceKeypointPipeline {
    private nonisolated let gate = Gate()
    private let runners: [any Runner]
    private let tracker: FaceTracker
    private let clock: StageClock
    private let backend: String
    private var closed = false

    /// Checks that the bundles belong together and loads them; what was loaded is closed where another can't be.
    init(
        detector: Bundle, keypoints: Bundle, refined: Bundle?, judge: Bundle?, runner: RunnerFactory, most: Int,
        checkEvery: Int, smooth: Bool
    ) throws {
        try demand("FaceBoxes", of: detector)
        if let judge { try demandJudge(judge) }
        let networks = [keypoints] + (refined.map { [$0] } ?? [])
        for bundle in networks { try demandFacePoints(of: bundle) }
        let size = try keypoints.manifest.preprocess.width
        guard try networks.allSatisfy({ try $0.manifest.preprocess.width == size && $0.manifest.preprocess.height == size })
        else {
            throw OnParError.badInput(
                "\(keypoints.name) takes \(size) columns; the networks of one pipeline take squares of one size")
        }
        let opened = try loadAll([detector] + networks + (judge.map { [$0] } ?? []), runner)
        do {
            let clock = StageClock()
            let answers = opened[1...networks.count].map { pointNetwork(keypoints, $0, clock) }
            let judging = try judge.map { try FaceJudge($0, opened[opened.count - 1], clock) }
            tracker = try FaceTracker(
                find: faceFinder(detector, opened[0], clock, judging), first: answers[0],
                second: answers.count > 1 ? answers[1] : nil, size: size, most: most, checkEvery: checkEvery,
                smooth: smooth, clock: clock)
            self.clock = clock
        } catch {
            for runner in opened { runner.close() }
            throw error
        }
        runners = opened
        backend = opened.reduce(into: [String]()) { if !$0.contains($1.backend) { $0.append($1.backend) } }
            .joined(separator: ", ")
    }

    /// How often the detector ran since the video began.
    public var detectorRuns: Int { tracker.detectorRuns }

    /// Image mode: every face, largest first. Every call is answered.
    public nonisolated func detect(_ picture: any PixelSource) async throws -> Detection<[DetectedFace]> {
        gate.enter()
        defer { gate.leave() }
        return try await run { try $0.detect(picture) }
    }

    /// Video mode: nil for a frame that is not newer than the last, or that comes while another is worked on.
    public nonisolated func detectForVideo(_ frame: any PixelSource, timestampMs: Int) async throws -> Detection<
        [DetectedFace]
    >? {
        guard gate.tryEnter(timestampMs) else { return nil }
        defer { gate.leave() }
        return try await run { try $0.detectForVideo(frame, timestampMs: timestampMs) }
    }

    /// Forget the video so far: the next frame begins a new one, at any time.
    public func reset() {
        tracker.reset()
        gate.reset()
    }

    /// Give the models' memory back; a call that runs is finished first, later ones are refused.
    public func close() {
        if !closed { for runner in runners { runner.close() } }
        closed = true
    }

    private func run(_ work: @Sendable (FaceTracker) throws -> [DetectedFace]) throws -> Detection<[DetectedFace]> {
        if closed { throw OnParError.badInput("the detector is closed; open the bundles again") }
        clock.start()
        let began = DispatchTime.now()
        let faces = try work(tracker)
        let postMs = milliseconds(began, DispatchTime.now()) - clock.preMs - clock.inferenceMs
        let timings = Timings(preMs: clock.preMs, inferenceMs: clock.inferenceMs, postMs: max(0, postMs))
        return Detection(value: faces, timings: timings, backend: backend)
    }
}

private func pointNetwork(_ bundle: Bundle, _ runner: any Runner, _ clock: StageClock) -> PointNetwork {
    let names = bundle.manifest.modelFiles[0].outputs.map(\.name)
    return { tensor in
        let outputs = try clock.inference { try runner.run(tensor) }
        return (try output(outputs, names[0]), try output(outputs, names.count > 1 ? names[1] : names[0]))
    }
}

private func demandFacePoints(of bundle: Bundle) throws {
    try demand("Keypoints", of: bundle)
    let shape = bundle.manifest.modelFiles[0].outputs[0].shape
    guard shape == [1, facePoints, 2] else {
        throw OnParError.badInput("\(bundle.name) gives points of shape \(shape); the pipeline needs [1, \(facePoints), 2]")
    }
}

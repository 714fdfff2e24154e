import Dispatch

/// A face detector and a network for face meshes: every face of a picture or frame.
///
/// `FaceReconstructor.fromBundles` opens one. The network looks at each face twice: at the detector's square, which is
/// rough, and at the square around the landmarks that it found there. An actor: calls from several tasks run one after
/// the other, closing waits for the one that runs.
public actor FaceMeshPipeline {
    private nonisolated let gate = Gate()
    private let runners: [any Runner]
    private let clock: StageClock
    private let find: FindFaces
    private let crop: PicturePreprocessor
    private let face3d: Bundle
    private let topology: FaceTopology
    private let most: Int
    private let backend: String
    /// Of the first look, which is for its landmarks alone.
    private var roughPx: [Float]
    private var closed = false

    /// Checks that the bundles belong together and loads them; what was loaded is closed where another can't be.
    init(detector: Bundle, face3d: Bundle, judge: Bundle?, runner: RunnerFactory, most: Int) throws {
        try demand("FaceBoxes", of: detector)
        try demand("FaceMesh", of: face3d)
        if let judge { try demandJudge(judge) }
        guard most >= 1 else { throw OnParError.badInput("most is \(most); allowed: 1 or more") }
        topology = try FaceTopology(of: face3d)
        let opened = try loadAll([detector, face3d] + (judge.map { [$0] } ?? []), runner)
        let clock = StageClock()
        runners = opened
        find = try faceFinder(detector, opened[0], clock, judge.map { try FaceJudge($0, opened[2], clock) })
        crop = PicturePreprocessor(try face3d.manifest.preprocess)
        backend = opened.reduce(into: [String]()) { if !$0.contains($1.backend) { $0.append($1.backend) } }
            .joined(separator: ", ")
        roughPx = Array(repeating: 0, count: 3 * topology.vertexCount)
        (self.clock, self.face3d, self.most) = (clock, face3d, most)
    }

    /// Image mode: every face, largest first. Every call is answered.
    public nonisolated func detect(_ picture: any PixelSource) async throws -> Detection<[FaceMesh]> {
        gate.enter()
        defer { gate.leave() }
        return try await run(picture)
    }

    /// Video mode: nil for a frame that is not newer than the last, or that comes while another is worked on.
    public nonisolated func detectForVideo(_ frame: any PixelSource, timestampMs: Int) async throws -> Detection<
        [FaceMesh]
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

    private func run(_ picture: any PixelSource) throws -> Detection<[FaceMesh]> {
        if closed { throw OnParError.badInput("the detector is closed; open the bundles again") }
        clock.start()
        let began = DispatchTime.now()
        let regions = largestFirst(try find(picture), by: \.width).prefix(most)
        let faces = try regions.compactMap { try reconstruct(picture, $0) }
        let postMs = milliseconds(began, DispatchTime.now()) - clock.preMs - clock.inferenceMs
        let timings = Timings(preMs: clock.preMs, inferenceMs: clock.inferenceMs, postMs: max(0, postMs))
        return Detection(value: faces, timings: timings, backend: backend)
    }

    /// Nil where the landmarks are no face's.
    private func reconstruct(_ picture: any PixelSource, _ rough: Region) throws -> FaceMesh? {
        try fillVertices(look(picture, rough), context(picture, rough), &roughPx)
        let region = regionAround(topology.landmarksPx(roughPx))
        let largest = largestSideOfPicture * Double(max(picture.width, picture.height))
        guard region.width > 0, region.width <= largest else { return nil }
        return try toFaceMesh(look(picture, region), context(picture, region), topology)
    }

    private func look(_ picture: any PixelSource, _ region: Region) throws -> Tensors {
        clock.pre { crop.sample(picture, region) }
        return try clock.inference { try runners[1].run(crop.tensor) }
    }

    private func context(_ picture: any PixelSource, _ region: Region) -> Context {
        Context(manifest: face3d.manifest, region: region, pictureWidth: picture.width, pictureHeight: picture.height)
    }
}

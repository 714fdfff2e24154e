import Foundation
import OnParLiteRT
import Testing

@testable import OnPar

private let limit = 5e-5

private func square(_ v: [Double]) -> Square { Square(x: v[0], y: v[1], side: v[2], angle: v[3]) }

private func difference(_ a: Square, _ b: Square) -> Double {
    let turn = abs(a.angle - b.angle).truncatingRemainder(dividingBy: 360)
    return max(abs(a.x - b.x), abs(a.y - b.y), abs(a.side - b.side), turn)
}

private let shape = Case.all("face_shapes")[0].floats("points")

/// The answer that a move of a script stands for.
private func answer(_ move: [Any]) -> (points: [Float], template: [Float]) {
    let nothing = [Float](repeating: .nan, count: 136)
    guard move[0] is NSNumber else { return (nothing, nothing) }
    let m: [Double] = move.map { ($0 as! NSNumber).doubleValue }
    let turn: Double = m[3] * Double.pi / 180
    let c: Double = m[0] * cos(turn)
    let s: Double = m[0] * sin(turn)
    var (points, template) = (nothing, nothing)
    for i in stride(from: 0, to: 136, by: 2) {
        let u: Double = Double(shape[i]) - 0.5
        let v: Double = Double(shape[i + 1]) - 0.5
        let x: Double = u * c - v * s
        let y: Double = u * s + v * c
        points[i] = Float(x + 0.5 + m[1])
        points[i + 1] = Float(y + 0.5 + m[2])
        template[i] = Float(Double(points[i]) + m[4])
        template[i + 1] = points[i + 1]
    }
    return (points, template)
}

func scene(_ name: String, _ width: Int, _ height: Int) throws -> Picture {
    var bytes: [UInt8] = []
    for i in 0..<3 * width * height {
        let x: Int = i / 3 % width
        let y: Int = i / 3 / width
        let pattern: Int = (x * 37 + y * 101 + x * y * 7) % 16
        let plain: Int = x + y + pattern + i % 3 * 15
        switch name {
        case "plain": bytes.append(UInt8(plain))
        case "dark": bytes.append(UInt8(plain / 2))
        case "inverted": bytes.append(UInt8(255 - plain))
        default: bytes.append(90)
        }
    }
    return try Picture(width: width, height: height, bytes: bytes)
}

/// The four values of a crop that vectors hold.
private func corners(_ tensor: [Float], _ size: Int) -> [Float] {
    let last = size - 1
    let middle = last / 2
    let places: [Int] = [0, size * size + last, (2 * size + last) * size, middle * size + middle]
    return places.map { tensor[$0] }
}

/// A detector and networks that answer by a script, and see whether they are asked what Python's were asked.
private final class Script {
    var regions: [Region] = []
    var calls: [Case] = []
    private let size: Int

    init(_ size: Int) { self.size = size }

    func start(_ frame: Case) {
        regions = (frame.json["regions"] as! [[NSNumber]]).map { r in
            let v = r.map(\.doubleValue)
            return Region(left: v[0], top: v[1], width: v[2], height: v[3])
        }
        calls = (frame.json["calls"] as! [[String: Any]]).map(Case.init)
    }

    func network(_ name: String) -> PointNetwork {
        { tensor in
            let call = self.calls.removeFirst()
            #expect(call.text("network") == name)
            #expect(difference(corners(tensor, self.size), call.floats("seen")) <= 5e-4, "another crop")
            return answer(call.json["move"] as! [Any])
        }
    }
}

@Suite struct FaceVectorTests {
    @Test(arguments: Case.all("squares")) func turnedCrop(_ c: Case) throws {
        let expected = c.floats("tensor")
        func worst(_ square: Square) throws -> Double {
            let sampler = SquareSampler(c.int("size"))
            // What an earlier picture left must not matter.
            try sampler.sample(c.picture(), Square(x: 20, y: 20, side: 90, angle: 45))
            try sampler.sample(c.picture(), square)
            return difference(sampler.tensor, expected)
        }
        let right = square(c.doubles("square")!)
        #expect(try worst(right) <= limit)
        // Faults that the vectors must see, but for crops of one colour.
        let third = expected.count / 3
        let isPlain = (0..<3).allSatisfy { k in Set(expected[k * third..<(k + 1) * third]).count == 1 }
        if isPlain { return }
        #expect(try worst(Square(x: right.x + 0.5, y: right.y, side: right.side, angle: right.angle)) > 100 * limit)
        if right.angle.truncatingRemainder(dividingBy: 180) != 0 {
            #expect(try worst(Square(x: right.x, y: right.y, side: right.side, angle: -right.angle)) > 100 * limit)
        }
    }

    @Test(arguments: Case.all("face_squares")) func squareOfPointsAndBox(_ c: Case) throws {
        let (points, expected) = (c.floats("points_px"), square(c.doubles("square")!))
        #expect(difference(try squareFromPoints(points), expected) <= 1e-3)
        let b = c.doubles("box")!
        #expect(difference(squareOfBox(b[0], b[1], b[2], b[3]), c.region) <= 1e-9)
        var (mirrored, exchanged) = (points, points)
        for i in stride(from: 0, to: points.count, by: 2) {
            let other: Int = points.count - 2 - i
            (mirrored[i], mirrored[i + 1]) = (points[other], points[other + 1])
            (exchanged[i], exchanged[i + 1]) = (points[i + 1], points[i])
        }
        for wrong in [mirrored, exchanged] { #expect(difference(try squareFromPoints(wrong), expected) > 1) }
    }

    @Test(arguments: Case.all("judgments")) func judgedBoxes(_ c: Case) throws {
        var calls = (c.json["calls"] as! [[String: Any]]).map(Case.init)
        let (size, threshold) = (c.int("size"), (c.json["threshold"] as! NSNumber).floatValue)
        let judge = FaceJudge(size: size, threshold: threshold, clock: StageClock()) { tensor in
            let call = calls.removeFirst()
            #expect(difference(corners(tensor, size), call.floats("seen")) <= 5e-4, "another crop")
            return call.doubles("logits")!.map { Float($0) }
        }
        let boxes = (c.json["boxes"] as! [[String: Any]]).map(Case.init).enumerated().map { (i, box) in
            let b = box.doubles("box")!
            let score = (box.json["score"] as! NSNumber).floatValue
            return FaceBox(x0: b[0], y0: b[1], x1: b[2], y1: b[3], score: score, pointsPx: [Float(i)])
        }
        let kept = try judge.refine(boxes, scene("plain", c.int("width"), c.int("height")))
        #expect(calls.isEmpty, "a box was not looked at")
        let expected = (c.json["kept"] as! [[String: Any]]).map(Case.init)
        #expect(kept.map { Int($0.pointsPx[0]) } == expected.map { $0.int("box") })
        for (box, wanted) in zip(kept, expected) {
            #expect(abs(Double(box.score) - (wanted.json["score"] as! NSNumber).doubleValue) <= 1e-6)
        }
    }

    @Test(arguments: Case.all("tracks")) func followedFaces(_ c: Case) throws {
        let script = Script(c.int("size"))
        let isRefined = (c.json["refined"] as! NSNumber).boolValue
        let tracker = try FaceTracker(
            find: { _ in script.regions }, first: script.network("first"),
            second: isRefined ? script.network("second") : nil, size: c.int("size"), most: c.int("most"),
            checkEvery: c.int("check_every"), smooth: (c.json["smooth"] as! NSNumber).boolValue)
        for frame in (c.json["frames"] as! [[String: Any]]).map(Case.init) {
            // Frames that are dropped before they come here have none; see the pipeline's tests.
            guard let expected = (frame.json["faces"] as? [[String: Any]])?.map(Case.init) else { continue }
            script.start(frame)
            let picture = try scene(frame.text("picture"), c.int("width"), c.int("height"))
            let isVideo = (c.json["video"] as! NSNumber).boolValue
            let faces = try isVideo
                ? tracker.detectForVideo(picture, timestampMs: frame.int("timestamp_ms")) : tracker.detect(picture)
            #expect(script.calls.isEmpty, "networks were not run")
            #expect(tracker.detectorRuns == frame.int("detector_runs"))
            #expect(faces.map(\.tracked) == expected.map { ($0.json["tracked"] as! NSNumber).boolValue })
            for (face, wanted) in zip(faces, expected) {
                #expect(difference(face.square, square(wanted.doubles("square")!)) <= 2e-3)
                #expect(abs(face.disagreement - (wanted.json["disagreement"] as! NSNumber).doubleValue) <= 1e-5)
                if wanted.json["points_px"] is String {
                    #expect(difference(face.pointsPx, wanted.floats("points_px")) <= 2e-3)
                }
            }
        }
    }

    @Test func whatHasNoCropIsRefused() async throws {
        #expect(await refusal { _ = try squareFromPoints([Float](repeating: 0, count: 10)) }.name == "BadInput")
        let picture = try scene("flat", 9, 9)
        for wrong in [Square(x: .nan, y: 0, side: 9), Square(x: 0, y: 0, side: -1), Square(x: 0, y: 0, side: .infinity)] {
            #expect(await refusal { try SquareSampler(8).sample(picture, wrong) }.name == "BadInput")
        }
        for (size, most, checkEvery) in [(32, 0, 30), (32, 8, 0), (24, 8, 30)] {
            let found = await refusal {
                _ = try FaceTracker(
                    find: { _ in [] }, first: { ($0, $0) }, second: nil, size: size, most: most, checkEvery: checkEvery)
            }
            #expect(found.name == "BadInput")
        }
    }
}

/// The bundles say what the networks look like; runners that answer by a script stand for the models.
@Suite struct FaceKeypointPipelineTests {
    private let detector = try! Bundle(bundleFolder("face_detector"))
    private let keypoints = try! Bundle(bundleFolder("template_keypoints"))
    private let picture = try! scene("plain", 96, 72)

    private func open(_ answers: Answers, refined: Bool = true) throws -> FaceKeypointPipeline {
        try FaceKeypointDetector.fromBundles(
            detector: detector, keypoints: keypoints, refined: refined ? keypoints : nil, runner: { try answers.load($0) })
    }

    @Test func allFacesWithTimingsAndClosedForGood() async throws {
        let answers = Answers()
        let pipeline = try open(answers)
        let detection = try await pipeline.detect(picture)
        await pipeline.close()
        await pipeline.close()
        let square = try #require(detection.value.first).square
        // The box in the 96 x 72 picture, 1.4 of its longer side, from outer corners to centres of pixels.
        #expect(difference(square, Square(x: 37.9, y: 35.5, side: 53.76)) < 1e-3)
        #expect(detection.timings.preMs > 0 && detection.timings.inferenceMs >= 0 && detection.timings.postMs >= 0)
        #expect(detection.backend == "script" && answers.closed == 3)
        #expect(await refusal { _ = try await pipeline.detect(picture) }.message.contains("closed"))
    }

    @Test func lateFramesAreDroppedAndResetBeginsAnew() async throws {
        let pipeline = try open(Answers(), refined: false)
        var found: [[Bool]?] = []
        for time in [10, 30, 30, 20, 40] {
            found.append(try await pipeline.detectForVideo(picture, timestampMs: time)?.value.map(\.tracked))
        }
        #expect(found == [[false], [true], nil, nil, [true]])
        #expect(await pipeline.detectorRuns == 1)
        await pipeline.reset()
        #expect(try await pipeline.detectForVideo(picture, timestampMs: 5)?.value.map(\.tracked) == [false])
    }

    @Test func bundlesInAnotherOrderAreRefusedBeforeAnythingIsLoaded() async {
        let answers = Answers()
        let found = await refusal {
            _ = try FaceKeypointDetector.fromBundles(
                detector: keypoints, keypoints: detector, runner: { try answers.load($0) })
        }
        #expect(found.name == "BadInput" && found.message.contains("gives Keypoints") && answers.loaded == 0)
        let judged = await refusal {
            _ = try FaceKeypointDetector.fromBundles(
                detector: detector, keypoints: keypoints, runner: { try answers.load($0) }, detectorRefined: keypoints)
        }
        #expect(judged.name == "BadInput" && judged.message.contains("face from background") && answers.loaded == 0)
    }

    @Test func whatWasLoadedIsClosedWhereAnotherFails() async {
        let answers = Answers(fail: 2)
        #expect(await refusal { _ = try open(answers) }.name == "BackendUnavailable")
        #expect(answers.loaded == 2 && answers.closed == 2)
    }

    @Test func theExampleOfTheDocumentation() async throws {
        let photo = try Png.picture(detector.file(detector.manifest.golden[0].raw))
        let told = try await findFaces(detector, keypoints, [photo, photo], runner: liteRTRunner)
        #expect(told.first == "68 points, followed: false" && told.last == "68 points, followed: true")
    }

    /// The real models: what Python's pipeline gives, in pictures and in a video of one picture.
    @Test(arguments: ["", "_refined", "_judged"]) func theRealModelsGivePythonsFaces(_ kind: String) async throws {
        let results = try JSONSerialization.jsonObject(
            with: Data(contentsOf: bundles.appendingPathComponent("results.json")))
        let expected = ((results as! [String: Any])["face_pipeline\(kind)-android"] as! [[String: Any]]).map(Case.init)
        let refined = kind == "_refined" ? try Bundle(bundleFolder("template_keypoints_refined")) : nil
        let judge = kind == "_judged" ? try Bundle(bundleFolder("face_detector_refined")) : nil
        let pipeline = try FaceKeypointDetector.fromBundles(
            detector: detector, keypoints: keypoints, refined: refined, runner: liteRTRunner, detectorRefined: judge)
        for (golden, wanted) in zip(detector.manifest.golden, expected) {
            let picture = try Png.picture(detector.file(golden.raw))
            await pipeline.reset()
            let still = try await pipeline.detect(picture).value
            let video = try #require(try await pipeline.detectForVideo(picture, timestampMs: 1)).value
            let faces = (wanted.json["faces"] as! [String]).map { floats(Data(base64Encoded: $0)!) }
            for found in [still, video] {
                #expect(found.count == faces.count && !faces.isEmpty)
                for (face, points) in zip(found, faces) { #expect(difference(face.pointsPx, points) <= 0.05) }
            }
        }
        await pipeline.close()
    }

    /// The detector and its second network alone.
    @Test func theRealModelsGivePythonsJudgedBoxes() async throws {
        let results = try JSONSerialization.jsonObject(
            with: Data(contentsOf: bundles.appendingPathComponent("results.json")))
        let expected = ((results as! [String: Any])["face_boxes_judged-android"] as! [[String: Any]]).map(Case.init)
        let pipeline = try FaceDetector.fromBundles(
            detector: detector, refined: try Bundle(bundleFolder("face_detector_refined")), runner: liteRTRunner)
        for (i, (golden, wanted)) in zip(detector.manifest.golden, expected).enumerated() {
            let picture = try Png.picture(detector.file(golden.raw))
            let still = try await pipeline.detect(picture).value.faces
            let video = try #require(try await pipeline.detectForVideo(picture, timestampMs: i)).value.faces
            #expect(try await pipeline.detectForVideo(picture, timestampMs: i) == nil)
            let rows = (wanted.json["faces"] as! [String]).map { floats(Data(base64Encoded: $0)!) }
            let scores = wanted.json["scores"] as! [Double]
            for found in [still, video] {
                #expect(found.count == rows.count && !rows.isEmpty)
                for (face, (row, score)) in zip(found, zip(rows, scores)) {
                    let own = [face.x0, face.y0, face.x1, face.y1].map(Float.init) + face.pointsPx
                    #expect(difference(own, row) <= 0.05 && abs(Double(face.score) - score) <= 0.002)
                }
            }
        }
        await pipeline.close()
        #expect(await refusal { _ = try await pipeline.detect(self.picture) }.message.contains("closed"))
    }

    @Test func aDetectorsSecondNetworkIsAskedForByName() async {
        let found = await refusal {
            _ = try FaceDetector.fromBundles(detector: detector, refined: keypoints, runner: liteRTRunner)
        }
        #expect(found.name == "BadInput" && found.message.contains("face from background"))
    }
}

/// Runners that answer the same every time.
private final class Answers: @unchecked Sendable {
    private(set) var loaded = 0
    var closed = 0
    private let fail: Int

    init(fail: Int = -1) { self.fail = fail }

    func load(_ bundle: OnPar.Bundle) throws -> any Runner {
        if loaded == fail { throw OnParError.backendUnavailable("none") }
        loaded += 1
        return Answering(self, bundle.manifest.postprocess.result == "FaceBoxes")
    }
}

private final class Answering: Runner {
    let backend = "script"
    private let owner: Answers
    private let outputs: Tensors

    init(_ owner: Answers, _ isDetector: Bool) {
        self.owner = owner
        if isDetector {
            let box: [Float] = [0.2, 0.3, 0.6, 0.7, 0.9]
            outputs = ["faces": box + [Float](repeating: 0.5, count: 10)]
        } else {
            let still = answer([1, 0, 0, 0, 0.05] as [NSNumber])
            outputs = ["keypoints": still.points, "template_keypoints": still.template]
        }
    }

    func run(_ input: [Float]) throws -> Tensors { outputs }

    func close() { owner.closed += 1 }
}

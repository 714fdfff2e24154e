import Foundation
import OnParLiteRT
import Testing

@testable import OnPar

@Suite struct RealModelTests {
    @Test(arguments: everyBundle) func passesItsOwnLimits(_ name: String) throws {
        let bundle = try Bundle(bundles.appendingPathComponent(name))
        let report = try GoldenSelfTest.run(bundle, runtime: "litert", runner: liteRTRunner)
        #expect(report.passed, "\(report.checks)")
        let proved = Set(report.checks.map { String($0.name.prefix { $0 != ":" }) })
        let manifest = bundle.manifest
        #expect(proved == Set((manifest.takesPicture ? ["preprocessing"] : []) + manifest.outputs.map(\.name)))
    }

    @Test(arguments: everyBundle) func givesPythonsResults(_ name: String) async throws {
        let bundle = try Bundle(bundles.appendingPathComponent(name))
        let results = try JSONSerialization.jsonObject(
            with: Data(contentsOf: bundles.appendingPathComponent("results.json")))
        let expected = ((results as! [String: Any])[name] as! [[String: Any]]).map(Case.init)
        #expect(expected.count == bundle.manifest.golden.count)
        for (golden, wanted) in zip(bundle.manifest.golden, expected) {
            if bundle.manifest.takesPicture {
                try await check(bundle, try bundle.file(golden.raw), wanted)
            } else {
                try await checkTensors(bundle, golden, wanted)
            }
        }
    }

    private func checkTensors(_ bundle: OnPar.Bundle, _ golden: GoldenCase, _ wanted: Case) async throws {
        let model = try TensorModel.fromBundle(bundle, runner: liteRTRunner)
        let found = try await model.run(GoldenSelfTest.inputs(bundle, golden)).value
        #expect(Set(found.keys) == Set(model.outputs.map(\.name)))
        for tensor in model.outputs {
            let expected = TensorValues(bytes: Data(wanted.object("tensors").bytes(tensor.name)), tensor.dtype)
            let values = found[tensor.name]!
            #expect(values.holder == expected.holder && values.count == tensor.size)
            #expect(zip(values.doubles, expected.doubles).allSatisfy { abs($0 - $1) <= 1e-5 })
        }
    }

    private func check(_ bundle: OnPar.Bundle, _ raw: Data, _ wanted: Case) async throws {
        switch bundle.manifest.postprocess.result {
        case "Classification":
            let detector = try ImageClassifier.fromBundle(bundle, runner: liteRTRunner)
            let found = try await detector.detect(Png.picture(raw)).value
            #expect(found.label == wanted.text("label"))
            // Rounding to 8 bits makes more of a small difference: there the class alone must be the same.
            let limit: Float = ["w8a8", "dynamic_w8"].contains(bundle.artifact("litert")!.precision) ? 0.02 : 1e-4
            for score in found.scores {
                let other = (wanted.object("scores").json[score.label] as! NSNumber).floatValue
                #expect(abs(other - score.probability) <= limit)
            }
        case "Keypoints":
            let detector = try FaceKeypointDetector.fromBundle(bundle, runner: liteRTRunner)
            let found = try await detector.detect(Png.picture(raw)).value.pointsPx
            for (i, point) in (wanted.json["points_px"] as! [[NSNumber]]).enumerated() {
                #expect(
                    hypot(point[0].doubleValue - Double(found[2 * i]), point[1].doubleValue - Double(found[2 * i + 1]))
                        <= 0.05)
            }
        case "FaceBoxes":
            let detector = try FaceDetector.fromBundle(bundle, runner: liteRTRunner)
            let faces = try await detector.detect(Png.picture(raw)).value.faces
            let expected = (wanted.json["faces"] as! [[String: Any]]).map(Case.init)
            #expect(faces.count == expected.count)
            for (face, other) in zip(faces, expected) {
                let boxes = zip([face.x0, face.y0, face.x1, face.y1], other.doubles("box_px")!)
                #expect(boxes.allSatisfy { abs($0 - $1) <= 0.05 })
                #expect(abs((other.json["score"] as! NSNumber).floatValue - face.score) <= 1e-3)
            }
        case "VoxelGrid":
            let detector = try DepthVoxelizer.fromBundle(bundle, runner: liteRTRunner)
            let filled = try await detector.detect(Png.depthMap(raw)).value.filledVoxels
            #expect(abs(filled - wanted.int("filled_voxels")) <= filled / 1000)
        case "Detections":
            let detector = try ObjectDetector.fromBundle(bundle, runner: liteRTRunner)
            let objects = try await detector.detect(Png.picture(raw)).value.objects
            let expected = (wanted.json["objects"] as! [[String: Any]]).map(Case.init)
            #expect(!objects.isEmpty && objects.map(\.label) == expected.map { $0.text("label") })
            for (found, other) in zip(objects, expected) {
                let boxes = zip([found.x0, found.y0, found.x1, found.y1], other.doubles("box_px")!)
                #expect(boxes.allSatisfy { abs($0 - $1) <= 0.05 })
                #expect(abs((other.json["score"] as! NSNumber).floatValue - found.score) <= 1e-3)
            }
        case "Segmentation":
            let detector = try ImageSegmenter.fromBundle(bundle, runner: liteRTRunner)
            let picture = try Png.picture(raw)
            let found = try await detector.detect(picture).value
            let classes = found.inPicture(width: picture.width, height: picture.height)
            let same = zip(classes, wanted.ints("classes")).filter { $0 == $1 }.count
            #expect(Double(same) >= 0.999 * Double(picture.width * picture.height))
        case "Depth":
            let detector = try DepthEstimator.fromBundle(bundle, runner: liteRTRunner)
            let picture = try Png.picture(raw)
            let found = try await detector.detect(picture).value
            let (laid, expected) = (
                found.inPicture(width: picture.width, height: picture.height), wanted.floats("depth")
            )
            #expect(laid.count == expected.count)
            #expect(zip(laid, expected).allSatisfy { $1.isNaN ? $0.isNaN : abs($0 / $1 - 1) < 1e-3 })
        case "Points":
            let detector = try KeypointDetector.fromBundle(bundle, runner: liteRTRunner)
            let found = try await detector.detect(Png.picture(raw)).value.pointsPx
            let expected = (wanted.json["points_px"] as! [[NSNumber]]).flatMap { $0.map(\.floatValue) }
            #expect(difference(found, expected) <= 0.05)
        case "Embedding":
            let detector = try ImageEmbedder.fromBundle(bundle, runner: liteRTRunner)
            let found = try await detector.detect(Png.picture(raw)).value.vector
            #expect(difference(found, (wanted.json["vector"] as! [NSNumber]).map(\.floatValue)) <= 1e-4)
        case "NewPicture":
            let detector = try ImageToImage.fromBundle(bundle, runner: liteRTRunner)
            let found = try await detector.detect(Png.picture(raw)).value.rgb
            let expected = [UInt8](wanted.bytes("rgb"))
            #expect(found.count == expected.count)
            // Rounding to whole values makes one of a difference of 1e-5.
            #expect(zip(found, expected).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
        case "FaceMesh":
            let detector = try FaceReconstructor.fromBundle(bundle, runner: liteRTRunner)
            let found = try await detector.detect(Png.picture(raw)).value
            #expect(difference(found.verticesPx, wanted.floats("vertices_px")) <= 0.05)
            #expect(difference(found.neutral, wanted.floats("neutral")) <= 1e-4)
            #expect(abs(found.poseDegrees.yaw - (wanted.json["yaw"] as! NSNumber).doubleValue) <= 0.01)
        default:
            let detector = try SaliencySegmenter.fromBundle(bundle, runner: liteRTRunner)
            let found = try await detector.detect(Png.picture(raw)).value
            let bits = wanted.bytes("filled_bits")
            let expected = found.values.indices.map { Double(bits[$0 / 8] >> UInt8($0 % 8) & 1) }
            let filled = found.values.map { $0 >= found.threshold ? 1.0 : 0.0 }
            #expect(Metric.maskIou.compute(filled, expected, shape: []) >= 0.999)
        }
    }

    /// What a fault in the app would do to the model's input; each must turn the self-test red.
    @Test(arguments: ["a swapped channel", "a shift by half a pixel", "a mean taken off outside the model"])
    func turnsTheSelfTestRed(_ fault: String) throws {
        let bundle = try Bundle(bundleFolder("classifier"))
        let spec = try bundle.manifest.preprocess
        let (width, size) = (spec.width, spec.width * spec.height)
        let report = try GoldenSelfTest.run(bundle, runtime: "litert") { bundle in
            Spoiled(try LiteRTRunner(bundle, library: liteRT)) { t in
                switch fault {
                case "a swapped channel": for i in 0..<size { t.swapAt(i, 2 * size + i) }
                case "a shift by half a pixel":
                    for i in 0..<t.count - 1 where i % width != width - 1 { t[i] = (t[i] + t[i + 1]) / 2 }
                default: for i in t.indices { t[i] -= 0.45 }
                }
            }
        }
        #expect(!report.passed)
    }

    @Test func callsFromSeveralTasksGiveTheSame() async throws {
        let (detector, picture) = try golden()
        let expected = try await detector.detect(picture).value.score
        let scores = try await withThrowingTaskGroup(of: Float.self) { group in
            for _ in 0..<12 { group.addTask { try await detector.detect(picture).value.score } }
            return try await group.reduce(into: Set<Float>()) { $0.insert($1) }
        }
        #expect(scores == [expected])
    }

    @Test func closingWaitsAndLaterCallsAreRefused() async throws {
        let (detector, picture) = try golden()
        async let running = detector.detect(picture)
        let score = try await running.value.score
        await detector.close()
        await detector.close()
        #expect(score > 0)
        let found = await refusal { _ = try await detector.detect(picture) }
        #expect(found.name == "BadInput" && found.message.contains("closed"))
    }

    @Test func closingWhileRunningBreaksNothing() async throws {
        for _ in 0..<10 {
            let (detector, picture) = try golden()
            await withTaskGroup(of: String.self) { group in
                for _ in 0..<3 { group.addTask { await refusal { _ = try await detector.detect(picture) }.name } }
                group.addTask {
                    await detector.close()
                    return "no error"
                }
                for await outcome in group { #expect(outcome == "no error" || outcome == "BadInput") }
            }
        }
    }

    @Test func videoModeDropsStaleAndOverlappingFrames() async throws {
        let bundle = try Bundle(bundleFolder("classifier"))
        let held = Held(try LiteRTRunner(bundle, library: liteRT))
        let detector = try ImageClassifier.fromBundle(bundle) { _ in held }
        let picture = try Png.picture(bundle.file(bundle.manifest.golden[0].raw))
        async let first = detector.detectForVideo(picture, timestampMs: 10)
        while !held.entered { await Task.yield() }
        let during = try await detector.detectForVideo(picture, timestampMs: 20)
        held.release()
        #expect(try await first != nil && during == nil)
        #expect(try await detector.detectForVideo(picture, timestampMs: 10) == nil)
        #expect(try await detector.detectForVideo(picture, timestampMs: 30) != nil)
    }

    @Test func aBadBoxDoesNotBreakTheDetector() async throws {
        let (detector, picture) = try golden()
        let found = await refusal { _ = try await detector.detect(picture, box: Box(x0: 9, y0: 9, x1: 9, y1: 9)) }
        #expect(found.name == "BadInput")
        #expect(try await detector.detect(picture).value.score > 0)
    }

    @Test func aClassOfAPictureInSixLines() async throws {
        let folder = bundleFolder("classifier")
        let png = try Data(contentsOf: folder.appendingPathComponent("golden/input_0.png"))
        #expect(try await classify(folder, png, runner: liteRTRunner).contains("%"))
    }

    @Test func isARecordOfSchemaVersion2() async throws {
        let bundle = try Bundle(bundleFolder("classifier"))
        let here = Device(name: "this PC", kind: "host", os: "Linux")
        func measure(_ rounds: Int, _ progress: (Int) -> Void) throws -> BenchmarkRecord {
            try BenchmarkRecord.measure(
                bundle, rounds: rounds, device: here, runtime: "litert", runtimeVersion: "2.3.0", delegate: "XNNPACK",
                runner: liteRTRunner, sustainedSeconds: 0.05, progress: progress)
        }
        var told = 0
        let record = try measure(7) { told = $0 }
        let fields = try JSONSerialization.jsonObject(with: record.toJson()) as! [String: Any]
        let keys =
            "bundle bundle_sha256 model runtime runtime_version precision delegate threads device thermal warm_up "
            + "samples_ms load_samples_ms peak_mb model_mb peers sustained schema_version"
        #expect(Set(fields.keys) == Set(keys.split(separator: " ").map(String.init)))
        #expect(Set((fields["device"] as! [String: Any]).keys) == ["name", "kind", "os", "arch", "cores"])
        #expect(told == 7 && record.samplesMs.count == 7 && record.samplesMs.allSatisfy { $0 > 0 })
        #expect(record.quantile(0.9) >= record.quantile(0.5))
        let lasting = fields["sustained"] as! [String: Any]
        #expect(Set(lasting.keys) == ["seconds", "calls", "first_p50_ms", "last_p50_ms"])
        #expect(record.sustained!.calls >= 1 && record.sustained!.lastP50Ms > 0)
        #expect(!Device.phone(os: "iOS 17").name.isEmpty)
        #expect(await refusal { _ = try measure(0) { _ in } }.name == "BadInput")
    }

    private func golden() throws -> (ImageClassifier, Picture) {
        let bundle = try Bundle(bundleFolder("classifier"))
        let picture = try Png.picture(bundle.file(bundle.manifest.golden[0].raw))
        return (try ImageClassifier.fromBundle(bundle, runner: liteRTRunner), picture)
    }
}

/// Spoils the input before the real model sees it.
private final class Spoiled: Runner {
    let backend = "spoiled"
    private let inner: LiteRTRunner
    private let spoil: @Sendable (inout [Float]) -> Void

    init(_ inner: LiteRTRunner, _ spoil: @escaping @Sendable (inout [Float]) -> Void) {
        (self.inner, self.spoil) = (inner, spoil)
    }

    func run(_ input: [Float]) throws -> Tensors { try inner.run(input) }

    func runTensors(_ inputs: NamedValues) throws -> NamedValues {
        try inner.runTensors(
            inputs.mapValues {
                var copy = $0.floats
                spoil(&copy)
                return .float(copy)
            })
    }

    func close() { inner.close() }
}

/// Stops inside the first run until it is released.
private final class Held: Runner, @unchecked Sendable {
    let backend = "held"
    private let inner: LiteRTRunner
    private let lock = NSLock()
    private let gate = DispatchSemaphore(value: 0)
    private var inside = false
    private var released = false

    init(_ inner: LiteRTRunner) { self.inner = inner }

    var entered: Bool { lock.withLock { inside } }

    func release() {
        lock.withLock { released = true }
        gate.signal()
    }

    func run(_ input: [Float]) throws -> Tensors {
        lock.withLock { inside = true }
        if !lock.withLock({ released }) { gate.wait() }
        return try inner.run(input)
    }

    func close() { inner.close() }
}

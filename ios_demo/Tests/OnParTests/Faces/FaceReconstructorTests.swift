import Foundation
import Testing

@testable import OnPar

private let topologies = Case.all("topologies")
private let topology = try! FaceTopology(parsing: Data(topologies[0].bytes("content")))

extension Case {
    fileprivate var outputs: Tensors {
        let tensors = (json["outputs"] as! [[String: Any]]).map(Case.init)
        return Dictionary(uniqueKeysWithValues: tensors.map { ($0.text("name"), $0.floats("values")) })
    }

    fileprivate func number(_ key: String) -> Double { (json[key] as! NSNumber).doubleValue }
}

private func mesh(_ c: Case, _ outputs: Tensors) throws -> FaceMesh {
    let manifest = Manifest(
        id: "vector", model: "", task: "", description: "", labels: [], sampling: PreprocessSpec(height: 16, width: 16),
        postprocess: PostprocessSpec(result: "FaceMesh", threshold: nil), modelFiles: [], golden: [], limits: [],
        files: [], weightsLicense: "")
    let context = Context(manifest: manifest, region: c.region, pictureWidth: 131, pictureHeight: 97)
    return try toFaceMesh(outputs, context, topology)
}

@Suite struct FaceMeshTests {
    @Test(arguments: Case.all("meshes")) func equalsPython(_ c: Case) throws {
        let (face, expected) = (try mesh(c, c.outputs), c.object("expected"))
        #expect(difference(face.verticesPx, expected.floats("vertices_px")) <= 1e-4)
        #expect(difference(face.neutral, expected.floats("neutral")) == 0)
        #expect(difference(face.rotation, expected.floats("rotation")) <= 1e-6)
        #expect(difference(face.shape(), expected.floats("shape")) <= 1e-5)
        #expect(difference(face.landmarksPx(), expected.floats("landmarks_px")) <= 1e-4)
        #expect(abs(Double(face.scalePx) - expected.number("scale_px")) <= 1e-4)
        #expect(difference(face.centerPx, expected.doubles("center_px")!.map { Float($0) }) <= 1e-4)
        let next = expected.doubles("next_region")!
        let region = Region(left: next[0], top: next[1], width: next[2], height: next[3])
        #expect(difference(regionAround(face.landmarksPx()), region) <= 1e-3)
        let (pose, measures) = (face.poseDegrees, face.expression())
        let angles = ["yaw": pose.yaw, "pitch": pose.pitch, "roll": pose.roll]
        let shares = [
            "mouth_open": measures.mouthOpen, "mouth_wide": measures.mouthWide, "smile": measures.smile,
            "brow_raise": measures.browRaise, "left_eye_closed": measures.leftEyeClosed,
            "right_eye_closed": measures.rightEyeClosed,
        ]
        for (group, values) in [("pose_degrees", angles), ("expression", shares)] {
            #expect(Set(expected.object(group).json.keys) == Set(values.keys))
            for (name, value) in values { #expect(abs(expected.object(group).number(name) - value) <= 1e-4, "\(name)") }
        }
    }

    /// Without a difference the vectors could not tell such a fault.
    @Test func exchangedOutputsAndAxesAreSeen() throws {
        let c = Case.all("meshes").first { $0.description == "all at once" }!
        let outputs = c.outputs
        let (vertices, pose) = (outputs["vertices"]!, outputs["pose"]!)
        let faults: [Tensors] = [
            ["vertices": outputs["neutral"]!, "neutral": vertices],
            ["vertices": vertices.indices.map { vertices[$0 - $0 % 3 + [1, 0, 2][$0 % 3]] }],
            ["pose": pose.indices.map { pose[$0 < 4 ? ($0 + 1) % 4 : $0] }],
            ["pose": pose.indices.map { pose[[0, 1, 2, 3, 4, 6, 5][$0]] }],
        ]
        for fault in faults {
            let face = try mesh(c, outputs.merging(fault) { $1 })
            let apart = difference(face.verticesPx, c.object("expected").floats("vertices_px"))
            #expect(max(apart, difference(face.shape(), c.object("expected").floats("shape"))) > 0.1)
        }
    }

    @Test(arguments: topologies.dropFirst()) func damagedTopology(_ c: Case) async {
        let found = await refusal { _ = try FaceTopology(parsing: Data(c.bytes("content"))) }
        #expect(found.name == "BundleInvalid" && found.message.contains("export the bundle again"), "\(found)")
    }

    @Test func otherOutputsThanTheTopologysAreRefused() async {
        let c = Case.all("meshes")[0]
        for (name, values) in c.outputs {
            for changed in [Array(values.dropFirst(3)), nil] {
                var outputs = c.outputs
                outputs[name] = changed
                #expect(await refusal { _ = try mesh(c, outputs) }.name == "BundleInvalid")
            }
        }
    }

    @Test func anObjFileHoldsTheShapeInMetresAndTheTriangles() throws {
        let c = Case.all("meshes")[4]
        let lines = try mesh(c, c.outputs).toObj().split(separator: "\n").map { $0.split(separator: " ") }
        let vertices = lines.filter { $0[0] == "v" }.flatMap { $0.dropFirst() }.map { 10 * Float($0)! }
        let faces = lines.filter { $0[0] == "f" }.flatMap { $0.dropFirst() }.map { Int($0)! - 1 }
        #expect(difference(vertices, c.object("expected").floats("shape")) <= 1e-5)
        #expect(faces == topology.triangles && faces == topologies[0].doubles("triangles")!.map { Int($0) })
    }
}

/// Runners that answer by a script stand for the models: no weights take part.
@Suite struct FaceMeshPipelineTests {
    private let detector = try! Bundle(bundleFolder("face_detector"))
    private let picture = try! scene("plain", 96, 72)

    /// A keypoint bundle that says it gives meshes, with a topology of the vectors, while `body` runs.
    private func withMeshBundle(_ number: Int = 0, _ body: (OnPar.Bundle) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.copyItem(at: bundleFolder("template_keypoints"), to: folder)
        defer { try? FileManager.default.removeItem(at: folder) }
        let content = Data(topologies[number].bytes("content"))
        try content.write(to: folder.appendingPathComponent("topology.safetensors"))
        let url = folder.appendingPathComponent("bundle.json")
        var document = try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as! [String: Any]
        document["postprocess"] = ["result": "FaceMesh", "threshold": NSNull()] as [String: Any]
        let entry: [String: Any] = [
            "path": "topology.safetensors", "sha256": sha256(content), "bytes": content.count,
        ]
        document["files"] = (document["files"] as! [[String: Any]]) + [entry]
        let manifest = try JSONSerialization.data(withJSONObject: document)
        try manifest.write(to: url)
        let signature = "{\"algorithm\": \"none\", \"sha256\": \"\(sha256(manifest))\"}"
        try Data(signature.utf8).write(to: folder.appendingPathComponent("SIGNATURE"))
        try await body(Bundle(folder))
    }

    private func open(_ face3d: OnPar.Bundle, _ answers: MeshAnswers, most: Int = 8) throws -> FaceMeshPipeline {
        try FaceReconstructor.fromBundles(
            detector: detector, face3d: face3d, runner: { try answers.load($0) }, most: most)
    }

    @Test func theSecondLookIsAroundTheLandmarksOfTheFirst() async throws {
        try await withMeshBundle { face3d in
            let answers = MeshAnswers()
            let pipeline = try open(face3d, answers)
            let detection = try await pipeline.detect(picture)
            await pipeline.close()
            await pipeline.close()
            let region = try #require(detection.value.first).region
            // The box in the 96 x 72 picture: 1.4 of its longer side, then 1.6 of the landmarks' box, half as long.
            #expect(abs(region.width - 1.4 * 0.4 * 96 * 0.5 * 1.6) < 4)
            #expect(abs(region.left + region.width / 2 - 0.4 * 96) < 3)
            #expect(abs(region.top + region.width / 2 - 0.5 * 72) < 3)
            #expect(detection.timings.preMs > 0 && detection.timings.inferenceMs >= 0 && detection.timings.postMs >= 0)
            #expect(detection.value.count == 1 && detection.backend == "script" && answers.closed == 2)
            #expect(await refusal { _ = try await pipeline.detect(picture) }.message.contains("closed"))
        }
    }

    @Test func lateFramesAreDroppedAndWhatIsNoNumberIsNoFace() async throws {
        try await withMeshBundle { face3d in
            let pipeline = try open(face3d, MeshAnswers())
            var found: [Int?] = []
            for time in [10, 30, 30, 20, 40] {
                found.append(try await pipeline.detectForVideo(picture, timestampMs: time)?.value.count)
            }
            #expect(found == [1, 1, nil, nil, 1])
            #expect(try await open(face3d, MeshAnswers(value: .nan)).detect(picture).value.isEmpty)
            let reconstructor = try FaceReconstructor.fromBundle(face3d) { try MeshAnswers().load($0) }
            #expect(try await reconstructor.detect(picture).value.verticesPx.count == 240)
        }
    }

    @Test func whatDoesNotFitIsRefusedAndNothingStaysLoaded() async throws {
        try await withMeshBundle { face3d in
            let answers = MeshAnswers()
            let order = await refusal {
                _ = try FaceReconstructor.fromBundles(
                    detector: face3d, face3d: detector, runner: { try answers.load($0) })
            }
            #expect(order.name == "BadInput" && order.message.contains("gives FaceMesh"))
            #expect(await refusal { _ = try open(face3d, answers, most: 0) }.name == "BadInput")
            #expect(answers.loaded == 0)
            let failing = MeshAnswers(fail: 1)
            #expect(await refusal { _ = try open(face3d, failing) }.name == "BackendUnavailable")
            #expect(failing.loaded == 1 && failing.closed == 1)
        }
        try await withMeshBundle(1) { damaged in
            let answers = MeshAnswers()
            #expect(await refusal { _ = try open(damaged, answers) }.name == "BundleInvalid")
            #expect(
                await refusal { _ = try FaceReconstructor.fromBundle(damaged) { try answers.load($0) } }.name
                    == "BundleInvalid")
            #expect(answers.loaded == 0)
        }
    }

    /// Python's meshes, and the example of the documentation; face3d's bundle is not among those of every run.
    @Test(.enabled(if: hasBundle("face3d"))) func theRealModelsGivePythonsMeshes() async throws {
        let face3d = try Bundle(bundleFolder("face3d"))
        let results = try JSONSerialization.jsonObject(
            with: Data(contentsOf: bundles.appendingPathComponent("results.json")))
        let expected = ((results as! [String: Any])["face_meshes-android"] as! [[String: Any]]).map(Case.init)
        let photos = try detector.manifest.golden.map { try Png.picture(detector.file($0.raw)) }
        let pipeline = try FaceReconstructor.fromBundles(detector: detector, face3d: face3d, runner: liteRTRunner)
        for (photo, wanted) in zip(photos, expected) {
            let found = try await pipeline.detect(photo).value
            let faces = (wanted.json["faces"] as! [String]).map { floats(Data(base64Encoded: $0)!) }
            #expect(found.count == faces.count && !faces.isEmpty)
            for (face, vertices) in zip(found, faces) { #expect(difference(face.verticesPx, vertices) <= 0.05) }
        }
        await pipeline.close()
        let told = try await reconstructFaces(detector, face3d, photos[0], runner: liteRTRunner)
        #expect(told.first?.hasPrefix("2500 vertices, turned by ") == true)
    }
}

private final class MeshAnswers: @unchecked Sendable {
    private(set) var loaded = 0
    fileprivate(set) var closed = 0
    private let fail: Int
    private let value: Float?

    init(fail: Int = -1, value: Float? = nil) { (self.fail, self.value) = (fail, value) }

    func load(_ bundle: OnPar.Bundle) throws -> any Runner {
        if loaded == fail { throw OnParError.backendUnavailable("none") }
        loaded += 1
        let box: [Float] = [0.2, 0.3, 0.6, 0.7, 0.9]
        // Landmarks in the middle half of the crop.
        let vertices = (0..<240).map { value ?? 0.25 + 0.5 * Float(($0 * 37) % 101) / 100 }
        let pose: [Float] = [1, 0, 0, 0, 0.4, 0.5, 0.5]
        let isDetector = bundle.manifest.postprocess.result == "FaceBoxes"
        return MeshAnswering(
            self,
            isDetector
                ? ["faces": box + [Float](repeating: 0.5, count: 10)]
                : ["vertices": vertices, "neutral": vertices, "pose": pose])
    }
}

private final class MeshAnswering: Runner {
    let backend = "script"
    private let owner: MeshAnswers
    private let outputs: Tensors

    init(_ owner: MeshAnswers, _ outputs: Tensors) { (self.owner, self.outputs) = (owner, outputs) }

    func run(_ input: [Float]) throws -> Tensors { outputs }

    func close() { owner.closed += 1 }
}

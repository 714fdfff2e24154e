import Foundation
import OnPar

/// The detector that a bundle's result needs; a new result type is one more case here and one more `Shown`.
///
/// With a face_detector bundle beside one for faces, it finds all faces of a picture or frame.
enum AnyDetector: Sendable {
    case classifier(ImageClassifier)
    case faces(FaceDetector)
    case judgedFaces(FaceBoxPipeline)
    case keypoints(FaceKeypointDetector)
    case allKeypoints(FaceKeypointPipeline)
    case saliency(SaliencySegmenter)
    case voxels(DepthVoxelizer)
    case mesh(FaceReconstructor)
    case allMeshes(FaceMeshPipeline)
    case objects(ObjectDetector)
    case classes(ImageSegmenter)
    case depth(DepthEstimator)
    case points(KeypointDetector)
    case embedding(ImageEmbedder)
    case picture(ImageToImage)

    private static let refining = "template_keypoints_refined"
    private static let judging = "face_detector_refined"

    /// - Parameter other: opens the bundle of another model, if there is one.
    init(_ bundle: OnParBundle, other: (_ model: String) throws -> OnParBundle?) throws {
        let coreML: RunnerFactory = { try CoreMLRunner($0) }
        // The refining network alone sees the crops of another one, never the detector's.
        let detector = bundle.manifest.model == AnyDetector.refining ? nil : try other("face_detector")
        let judge = detector == nil ? nil : try other(AnyDetector.judging)
        self =
            switch (bundle.manifest.postprocess.result, detector) {
            case ("Classification", _): .classifier(try .fromBundle(bundle, runner: coreML))
            case ("FaceBoxes", _):
                if let judge {
                    .judgedFaces(try FaceDetector.fromBundles(detector: bundle, refined: judge, runner: coreML))
                } else {
                    .faces(try .fromBundle(bundle, runner: coreML))
                }
            case ("Keypoints", let detector?):
                .allKeypoints(
                    try FaceKeypointDetector.fromBundles(
                        detector: detector, keypoints: bundle, refined: try other(AnyDetector.refining),
                        runner: coreML, detectorRefined: judge))
            case ("Keypoints", nil): .keypoints(try .fromBundle(bundle, runner: coreML))
            case ("Mask", _): .saliency(try .fromBundle(bundle, runner: coreML))
            case ("Detections", _): .objects(try .fromBundle(bundle, runner: coreML))
            case ("Segmentation", _): .classes(try .fromBundle(bundle, runner: coreML))
            case ("Depth", _): .depth(try .fromBundle(bundle, runner: coreML))
            case ("Points", _): .points(try .fromBundle(bundle, runner: coreML))
            case ("Embedding", _): .embedding(try .fromBundle(bundle, runner: coreML))
            case ("NewPicture", _): .picture(try .fromBundle(bundle, runner: coreML))
            case ("VoxelGrid", _): .voxels(try .fromBundle(bundle, runner: coreML))
            case ("FaceMesh", let detector?):
                .allMeshes(
                    try FaceReconstructor.fromBundles(
                        detector: detector, face3d: bundle, runner: coreML,
                        detectorRefined: judge))
            case ("FaceMesh", nil): .mesh(try .fromBundle(bundle, runner: coreML))
            case (let result, _): throw OnParError.badInput("this app can't show a \(result); update it")
            }
    }

    func detect(_ picture: any PixelSource) async throws -> Shown {
        switch self {
        case .classifier(let detector): Shown(try await detector.detect(picture))
        case .faces(let detector): Shown(try await detector.detect(picture))
        case .judgedFaces(let detector): Shown(try await detector.detect(picture))
        case .keypoints(let detector): Shown(try await detector.detect(picture))
        case .allKeypoints(let detector): Shown(try await detector.detect(picture))
        case .saliency(let detector): Shown(try await detector.detect(picture))
        case .mesh(let detector): Shown(try await detector.detect(picture))
        case .allMeshes(let detector): Shown(try await detector.detect(picture))
        case .objects(let detector): Shown(try await detector.detect(picture))
        case .classes(let detector): Shown(try await detector.detect(picture))
        case .depth(let detector): Shown(try await detector.detect(picture))
        case .points(let detector): Shown(try await detector.detect(picture))
        case .embedding(let detector): Shown(try await detector.detect(picture))
        case .picture(let detector): Shown(try await detector.detect(picture))
        case .voxels: throw OnParError.badInput("this bundle takes depth maps; choose another for pictures")
        }
    }

    func detectForVideo(_ frame: any PixelSource, timestampMs: Int) async throws -> Shown? {
        switch self {
        case .classifier(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .faces(let detector): try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .judgedFaces(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .keypoints(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .allKeypoints(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .saliency(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .mesh(let detector): try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .allMeshes(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .objects(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .classes(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .depth(let detector): try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .embedding(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .picture(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .points(let detector):
            try await detector.detectForVideo(frame, timestampMs: timestampMs).map { Shown($0) }
        case .voxels: throw OnParError.badInput("this bundle takes depth maps; choose another for the camera")
        }
    }
}

/// What a screen shows of a result: a line for people, and what lies over the picture.
struct Shown: Sendable {
    let text: String
    /// x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0).
    let pointsPx: [Float]
    /// x, y of both ends of each line, likewise.
    let linesPx: [Float]
    let mask: Mask?
    let timings: Timings
    let backend: String

    private init<Value>(
        _ detection: Detection<Value>, _ text: String, pointsPx: [Float] = [], linesPx: [Float] = [], mask: Mask? = nil
    ) {
        (self.text, self.pointsPx, self.linesPx, self.mask) = (text, pointsPx, linesPx, mask)
        (timings, backend) = (detection.timings, detection.backend)
    }

    init(_ found: Detection<Classification>) {
        let best = found.value.scores.prefix(3).map { "\($0.label) \(Int(100 * $0.probability)) %" }
        self.init(found, best.joined(separator: ", "))
    }

    init(_ found: Detection<FaceBoxes>) {
        let faces = found.value.faces
        self.init(found, count(faces.count), pointsPx: faces.flatMap(\.pointsPx))
    }

    init(_ found: Detection<Keypoints>) {
        self.init(found, "\(found.value.pointsPx.count / 2) points on the face", pointsPx: found.value.pointsPx)
    }

    init(_ found: Detection<[DetectedFace]>) {
        self.init(found, count(found.value.count), pointsPx: found.value.flatMap(\.pointsPx))
    }

    init(_ found: Detection<Mask>) {
        self.init(found, "\(Int(100 * found.value.share)) % of the picture stands out", mask: found.value)
    }

    init(_ found: Detection<DetectedObjects>) {
        let objects = found.value.objects
        let best = objects.prefix(3).map { "\($0.label) \(Int(100 * $0.score)) %" }
        let lines = objects.flatMap { box in
            let corners = [(box.x0, box.y0), (box.x1, box.y0), (box.x1, box.y1), (box.x0, box.y1), (box.x0, box.y0)]
            return zip(corners, corners.dropFirst()).flatMap { [$0.0, $0.1, $1.0, $1.1].map { Float($0 - 0.5) } }
        }
        self.init(found, best.isEmpty ? "nothing found" : best.joined(separator: ", "), linesPx: lines)
    }

    init(_ found: Detection<Segmentation>) {
        let most = found.value.shares.prefix(3).map { "\($0.label) \(Int(100 * $0.share)) %" }
        self.init(found, most.joined(separator: ", "))
    }

    init(_ found: Detection<EstimatedDepth>) {
        let (values, unit) = (found.value.values, found.value.unit)
        self.init(found, "\(unit) from \(values.min() ?? 0) to \(values.max() ?? 0)")
    }

    init(_ found: Detection<Points>) {
        self.init(found, "\(found.value.pointsPx.count / 2) points", pointsPx: found.value.pointsPx)
    }

    init(_ found: Detection<Embedding>) { self.init(found, "a vector of \(found.value.vector.count) numbers") }

    init(_ found: Detection<NewPicture>) {
        self.init(found, "a picture of \(found.value.width) x \(found.value.height) pixels")
    }

    init(_ found: Detection<FaceMesh>) { self.init(found, turned(found.value), linesPx: wire(found.value)) }

    init(_ found: Detection<[FaceMesh]>) {
        let largest = found.value.first.map { ", the largest \(turned($0))" } ?? ""
        self.init(found, count(found.value.count) + largest, linesPx: found.value.flatMap(wire))
    }
}

private func count(_ faces: Int) -> String { faces == 1 ? "1 face" : "\(faces) faces" }

private func turned(_ face: FaceMesh) -> String {
    func part(_ degrees: Double, _ positive: String, _ negative: String) -> String {
        "\(Int(abs(degrees).rounded()))° \(degrees < 0 ? negative : positive)"
    }
    let pose = face.poseDegrees
    return "turned \(part(pose.yaw, "right", "left")), \(part(pose.pitch, "down", "up")), "
        + "tilted \(part(-pose.roll, "right", "left"))"
}

/// Two edges of each triangle that faces the viewer; the third is a neighbour's.
private func wire(_ face: FaceMesh) -> [Float] {
    let (v, t) = (face.verticesPx, face.topology.triangles)
    var lines: [Float] = []
    for i in stride(from: 0, to: t.count - 2, by: 3) {
        let (a, b, c) = (3 * t[i], 3 * t[i + 1], 3 * t[i + 2])
        // Counter-clockwise seen from outside, and rows count downwards.
        if (v[b] - v[a]) * (v[c + 1] - v[a + 1]) > (v[b + 1] - v[a + 1]) * (v[c] - v[a]) { continue }
        for end in [a, b, b, c] { lines += [v[end], v[end + 1]] }
    }
    return lines
}

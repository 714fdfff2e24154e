import Foundation
import Observation
import OnPar

/// The chosen bundle and its detector.
@MainActor @Observable
final class DemoModel {
    let names: [String]
    var name: String
    private(set) var bundle: OnParBundle?
    private(set) var detector: AnyDetector?
    private(set) var problem: String?
    private let folder = Foundation.Bundle.main.resourceURL!.appendingPathComponent("Bundles")

    init() {
        let found = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
        names = (found ?? []).filter { $0.contains("-ios-") }.sorted()
        name = names.first ?? ""
    }

    /// Open the chosen bundle away from the main thread: checksums and Core ML's compilation take a moment.
    func open() {
        let address = folder.appendingPathComponent(name)
        (bundle, detector, problem) = (nil, nil, nil)
        Task {
            do {
                let opened = try await Task.detached { () -> (OnParBundle, AnyDetector) in
                    let bundle = try OnParBundle(address)
                    return (bundle, try AnyDetector(bundle))
                }.value
                (bundle, detector) = opened
            } catch {
                say(error)
            }
        }
    }

    func say(_ error: Error) {
        problem = (error as? OnParError).map { "\($0.name): \($0.message)" } ?? error.localizedDescription
    }
}

/// What a screen shows of a result.
struct Shown: Sendable {
    let text: String
    let pointsPx: [Float]
    let timings: Timings
    let backend: String

    init<Value>(_ detection: Detection<Value>, _ text: String, pointsPx: [Float] = []) {
        (self.text, self.pointsPx) = (text, pointsPx)
        (timings, backend) = (detection.timings, detection.backend)
    }
}

/// The detector that a bundle's result needs; a new result type is one more case.
enum AnyDetector: Sendable {
    case classifier(ImageClassifier)
    case faces(FaceDetector)
    case keypoints(FaceKeypointDetector)
    case saliency(SaliencySegmenter)
    case voxels(DepthVoxelizer)

    init(_ bundle: OnParBundle) throws {
        let coreML: RunnerFactory = { try CoreMLRunner($0) }
        self =
            switch bundle.manifest.postprocess.result {
            case "Classification": .classifier(try .fromBundle(bundle, runner: coreML))
            case "FaceBoxes": .faces(try .fromBundle(bundle, runner: coreML))
            case "Keypoints": .keypoints(try .fromBundle(bundle, runner: coreML))
            case "Mask": .saliency(try .fromBundle(bundle, runner: coreML))
            case "VoxelGrid": .voxels(try .fromBundle(bundle, runner: coreML))
            case let other: throw OnParError.badInput("this app can't show a \(other); update it")
            }
    }

    func detect(_ picture: any PixelSource) async throws -> Shown? {
        switch self {
        case .classifier(let detector): show(try await detector.detect(picture))
        case .faces(let detector): show(try await detector.detect(picture))
        case .keypoints(let detector): show(try await detector.detect(picture))
        case .saliency(let detector): show(try await detector.detect(picture))
        case .voxels: throw OnParError.badInput("this bundle takes depth maps; choose another for pictures")
        }
    }

    func detectForVideo(_ frame: any PixelSource, timestampMs: Int) async throws -> Shown? {
        switch self {
        case .classifier(let detector): try await detector.detectForVideo(frame, timestampMs: timestampMs).map(show)
        case .faces(let detector): try await detector.detectForVideo(frame, timestampMs: timestampMs).map(show)
        case .keypoints(let detector): try await detector.detectForVideo(frame, timestampMs: timestampMs).map(show)
        case .saliency(let detector): try await detector.detectForVideo(frame, timestampMs: timestampMs).map(show)
        case .voxels: throw OnParError.badInput("this bundle takes depth maps; choose another for the camera")
        }
    }

    private func show(_ found: Detection<Classification>) -> Shown {
        let best = found.value.scores.prefix(3).map { "\($0.label) \(Int(100 * $0.probability)) %" }
        return Shown(found, best.joined(separator: ", "))
    }

    private func show(_ found: Detection<FaceBoxes>) -> Shown {
        let count = found.value.faces.count
        return Shown(
            found, count == 1 ? "1 face" : "\(count) faces", pointsPx: found.value.faces.flatMap(\.pointsPx))
    }

    private func show(_ found: Detection<Keypoints>) -> Shown {
        Shown(found, "\(found.value.pointsPx.count / 2) points on the face", pointsPx: found.value.pointsPx)
    }

    private func show(_ found: Detection<Mask>) -> Shown {
        Shown(found, "\(Int(100 * found.value.share)) % of the picture stands out")
    }
}

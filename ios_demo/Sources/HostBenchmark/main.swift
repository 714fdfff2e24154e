// Times preprocessing and postprocessing of a 640x480 camera frame on this computer, warmed up. No figure of a phone.
// Arguments: rounds, folders of bundles.
import Foundation
import OnPar

/// Gives fixed outputs at once, so that only OnPar's own work is timed.
final class NoRunner: Runner {
    let backend = "none"
    private let outputs: Tensors

    init(_ bundle: OnPar.Bundle) {
        let entries = bundle.manifest.modelFiles[0].outputs
        outputs = Dictionary(
            uniqueKeysWithValues: entries.map { ($0.name, (0..<$0.size).map { _ in Float.random(in: 0...1) }) })
    }

    func run(_ input: [Float]) -> Tensors { outputs }
    func close() {}
}

func noise(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255) } }

/// Timings of one call after the other, whatever it finds.
func timer(_ bundle: OnPar.Bundle, _ frame: YuvFrame) throws -> () async throws -> Timings {
    switch bundle.manifest.postprocess.result {
    case "Mask":
        let detector = try SaliencySegmenter.fromBundle(bundle) { NoRunner($0) }
        return { try await detector.detect(frame).timings }
    case "Keypoints":
        let detector = try FaceKeypointDetector.fromBundle(bundle) { NoRunner($0) }
        return { try await detector.detect(frame).timings }
    default:
        let detector = try ImageClassifier.fromBundle(bundle) { NoRunner($0) }
        return { try await detector.detect(frame).timings }
    }
}

let rounds = Int(CommandLine.arguments[1])!
let frame = try YuvFrame(
    width: 640, height: 480, y: Plane(data: noise(640 * 480), rowStride: 640),
    u: Plane(data: noise(640 * 240), rowStride: 640, pixelStride: 2),
    v: Plane(data: noise(640 * 240), rowStride: 640, pixelStride: 2), orientation: 6)
for folder in CommandLine.arguments.dropFirst(2) {
    let bundle = try OnPar.Bundle(URL(fileURLWithPath: folder))
    let measure = try timer(bundle, frame)
    var samples: [Timings] = []
    for round in -20..<rounds {
        let timings = try await measure()
        if round >= 0 { samples.append(timings) }
    }
    func sorted(_ value: (Timings) -> Double) -> [Double] { samples.map(value).sorted() }
    let both = sorted { $0.preMs + $0.postMs }
    let values = [both[0], both[rounds / 2], sorted(\.preMs)[rounds / 2], sorted(\.postMs)[rounds / 2]]
    let text = values.map { String(format: "%.2f", $0) }
    print(
        "Swift pre+post of \(bundle.manifest.model), 640x480 frame: best \(text[0]) ms, p50 \(text[1]) ms "
            + "(\(text[2]) + \(text[3])), \(rounds) rounds")
}

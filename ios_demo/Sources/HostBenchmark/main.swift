// Times preprocessing and postprocessing of a 640x480 camera frame on this computer, warmed up. No figure of a phone.
// Arguments: folder of a classifier bundle, rounds.
import Foundation
import OnPar

let bundle = try OnPar.Bundle(URL(fileURLWithPath: CommandLine.arguments[1]))
let rounds = Int(CommandLine.arguments[2])!
var generator = SystemRandomNumberGenerator()
let noise = { (count: Int) in (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) } }
let frame = try YuvFrame(
    width: 640, height: 480, y: Plane(data: noise(640 * 480), rowStride: 640),
    u: Plane(data: noise(640 * 240), rowStride: 640, pixelStride: 2),
    v: Plane(data: noise(640 * 240), rowStride: 640, pixelStride: 2), orientation: 6)

/// Gives fixed outputs at once, so that only OnPar's own work is timed.
final class NoRunner: Runner {
    let backend = "none"
    func run(_ input: [Float]) -> Tensors { ["logits": [0, 1, 2, 3, 4, 5, 6]] }
    func close() {}
}

let detector = try ImageClassifier.fromBundle(bundle) { _ in NoRunner() }
var samples: [Double] = []
for round in -20..<rounds {
    let timings = try await detector.detect(frame).timings
    if round >= 0 { samples.append(timings.preMs + timings.postMs) }
}
samples.sort()
let text = [0.5, 0.9].map { String(format: "%.2f ms", samples[Int(Double(rounds) * $0)]) }
print("Swift pre+post, 640x480 frame: p50 \(text[0]), p90 \(text[1]), \(rounds) rounds")

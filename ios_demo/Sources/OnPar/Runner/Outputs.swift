import Foundation

public typealias Tensors = [String: [Float]]

/// What a decoder may look at besides the tensors.
struct Context {
    let manifest: Manifest
    let region: Region
    let pictureWidth: Int
    let pictureHeight: Int
}

func output(_ outputs: Tensors, _ name: String) throws -> [Float] {
    guard let values = outputs[name] else {
        throw OnParError.bundleInvalid("the artifact gave no output '\(name)'; export the bundle again")
    }
    return values
}

func softmax(_ logits: [Float]) -> [Float] {
    let largest = logits.max() ?? 0
    let powers = logits.map { exp($0 - largest) }
    let total = powers.reduce(0, +)
    return powers.map { $0 / total }
}

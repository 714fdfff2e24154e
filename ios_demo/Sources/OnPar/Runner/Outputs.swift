import Foundation

/// Outputs as a decoder of pictures reads them: class numbers are floats, too.
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

/// An output by its place, with its shape, type and unit.
func entry(_ manifest: Manifest, _ place: Int) throws -> TensorEntry {
    let outputs = manifest.modelFiles[0].outputs
    guard place < outputs.count else {
        throw OnParError.bundleInvalid("\(manifest.id) needs \(place + 1) outputs or more; export the bundle again")
    }
    return outputs[place]
}

func softmax(_ logits: [Float]) -> [Float] {
    let largest = logits.max() ?? 0
    let powers = logits.map { exp($0 - largest) }
    let total = powers.reduce(0, +)
    return powers.map { $0 / total }
}

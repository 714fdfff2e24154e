/// A picture as a vector, near to those of pictures that are alike.
public struct Embedding: Sendable {
    /// As the network gives it.
    public let vector: [Float]

    /// Cosine of the angle between two: 1 for alike, 0 where one is zero.
    public func similarity(_ other: Embedding) -> Double {
        func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
        let norm = dot(vector, vector).squareRoot() * dot(other.vector, other.vector).squareRoot()
        return norm == 0 ? 0 : dot(vector, other.vector) / norm
    }
}

/// The vector of one picture.
public typealias ImageEmbedder = Detector<any PixelSource, Embedding>

extension Detector where Input == any PixelSource, Value == Embedding {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> ImageEmbedder {
        try openTask(bundle, "Embedding", runner, toEmbedding)
    }
}

/// The output's only row: reference/tasks/embedding.py.
func toEmbedding(_ outputs: Tensors, _ context: Context) throws -> Embedding {
    Embedding(vector: try output(outputs, try entry(context.manifest, 0).name))
}

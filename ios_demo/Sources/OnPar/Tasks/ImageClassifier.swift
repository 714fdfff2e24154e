public struct Score: Sendable {
    public let label: String
    public let probability: Float
}

/// What a picture shows; `scores` holds every class, most probable first. Below `threshold` it shows none of them.
public struct Classification: Sendable {
    public let scores: [Score]
    public let threshold: Float
    public var label: String { scores[0].label }
    public var score: Float { scores[0].probability }
    /// False where the picture shows none of the classes.
    public var known: Bool { score >= threshold }
}

/// What a picture shows.
public typealias ImageClassifier = Detector<any PixelSource, Classification>

extension Detector where Input == any PixelSource, Value == Classification {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> ImageClassifier {
        try openTask(bundle, "Classification", runner, toClassification)
    }
}

func toClassification(_ outputs: Tensors, _ context: Context) throws -> Classification {
    let probabilities = softmax(try output(outputs, "logits"))
    let labels = context.manifest.labels
    guard !labels.isEmpty, labels.count == probabilities.count else {
        throw OnParError.bundleInvalid(
            "\(context.manifest.id) has \(labels.count) labels for \(probabilities.count) classes; export again")
    }
    // Equal scores keep the order of the labels.
    let order = probabilities.indices.sorted { (probabilities[$0], $1) > (probabilities[$1], $0) }
    return Classification(
        scores: order.map { Score(label: labels[$0], probability: probabilities[$0]) },
        threshold: context.manifest.postprocess.threshold ?? 0)
}

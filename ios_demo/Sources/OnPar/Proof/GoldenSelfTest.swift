public struct SelfTestCheck: Sendable {
    public let name: String
    public let value: Double
    public let limit: Double
    public let largerIsBetter: Bool
    public var passed: Bool { largerIsBetter ? value >= limit : value <= limit }
}

public struct SelfTestReport: Sendable {
    public let bundle: String
    public let backend: String
    public let checks: [SelfTestCheck]
    public var passed: Bool { checks.allSatisfy(\.passed) }
}

/// Replays a bundle's proof on this device: raw golden input, own preprocessing, real model, the bundle's own limits.
public enum GoldenSelfTest {
    /// In units of the input, [0, 1].
    public static let preprocessLimit = 5e-5

    /// - Parameter runtime: whose artifact the runner loads: `litert`, `coreml` or `executorch`.
    public static func run(_ bundle: Bundle, runtime: String, runner: RunnerFactory) throws -> SelfTestReport {
        guard let artifact = bundle.artifact(runtime) else {
            throw OnParError.backendUnavailable("\(bundle.name) holds nothing for \(runtime); export it again")
        }
        let loaded = try runner(bundle)
        defer { loaded.close() }
        let checks = try bundle.manifest.golden.flatMap { try replay(bundle, $0, artifact, loaded) }
        return SelfTestReport(bundle: bundle.manifest.id, backend: loaded.backend, checks: keepWorst(checks))
    }

    private static func replay(
        _ bundle: Bundle, _ golden: GoldenCase, _ artifact: ModelFile, _ runner: any Runner
    ) throws -> [SelfTestCheck] {
        let inputs = try inputs(bundle, golden)
        var checks: [SelfTestCheck] = []
        if bundle.manifest.takesPicture {
            let first = bundle.manifest.inputs[0].name
            let difference = largestDifference(
                inputs[first]!.floats, try bundle.golden(entry(golden, first)).floats)
            checks.append(
                SelfTestCheck(name: "preprocessing", value: difference, limit: preprocessLimit, largerIsBetter: false))
        }
        let outputs = try runner.runTensors(inputs)
        for limit in bundle.manifest.limits where limit.runtime == artifact.executedHereBy {
            let stored = try entry(golden, limit.output)
            let (values, expected) = (outputs[limit.output]?.doubles ?? [], try bundle.golden(stored).doubles)
            let actual =
                stored.stride == 1
                ? values : Swift.stride(from: 0, to: values.count, by: stored.stride).map { values[$0] }
            let metric = try Metric.named(limit.metric)
            let shape = stored.stride == 1 ? stored.tensor.shape : [expected.count]
            checks.append(
                SelfTestCheck(
                    name: "\(limit.output): \(limit.metric)", value: metric.compute(actual, expected, shape: shape),
                    limit: limit.limit, largerIsBetter: metric.largerIsBetter))
        }
        return checks
    }

    /// The inputs of a golden case: a picture or depth map through this library's own preprocessing, tensors as they are.
    static func inputs(_ bundle: Bundle, _ golden: GoldenCase) throws -> NamedValues {
        let (manifest, pairs) = (bundle.manifest, bundle.manifest.inputs.map(\.name))
        var found = try Dictionary(uniqueKeysWithValues: pairs.map { ($0, try bundle.golden(entry(golden, $0))) })
        if manifest.takesPicture { found[pairs[0]] = .float(try preprocess(bundle, golden.raw)) }
        return found
    }

    /// A raw golden file through this library's own preprocessing.
    static func preprocess(_ bundle: Bundle, _ raw: String) throws -> [Float] {
        let spec = try bundle.manifest.preprocess
        if spec.color == "DEPTH" {
            let preprocessor = DepthPreprocessor(spec)
            _ = try preprocessor.run(Png.depthMap(bundle.file(raw)))
            return preprocessor.tensor
        }
        let preprocessor = PicturePreprocessor(spec)
        _ = try preprocessor.run(Png.picture(bundle.file(raw)))
        return preprocessor.tensor
    }

    private static func entry(_ golden: GoldenCase, _ name: String) throws -> GoldenTensor {
        guard let found = golden.tensors.first(where: { $0.tensor.name == name }) else {
            throw OnParError.bundleInvalid("the bundle has no golden tensor '\(name)'; export it again")
        }
        return found
    }

    private static func keepWorst(_ checks: [SelfTestCheck]) -> [SelfTestCheck] {
        var worst: [SelfTestCheck] = []
        for check in checks {
            guard let at = worst.firstIndex(where: { $0.name == check.name }) else {
                worst.append(check)
                continue
            }
            if (check.value < worst[at].value) == check.largerIsBetter { worst[at] = check }
        }
        return worst
    }

    private static func largestDifference(_ a: [Float], _ b: [Float]) -> Double {
        guard a.count == b.count else { return .infinity }
        return zip(a, b).reduce(0) { most, pair in
            let difference = abs(Double(pair.0) - Double(pair.1))
            return difference.isNaN ? .infinity : max(most, difference)
        }
    }
}

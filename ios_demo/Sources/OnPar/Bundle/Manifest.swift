import Foundation

/// bundle.json as typed data. Unknown and missing keys are refused, as in Python (docs/bundle.schema.json).
public struct Manifest: Sendable {
    public static let formatVersion = 1

    public let id: String
    public let model: String
    public let task: String
    public let description: String
    public let labels: [String]
    let sampling: PreprocessSpec?
    public let postprocess: PostprocessSpec
    public let modelFiles: [ModelFile]
    public let golden: [GoldenCase]
    /// What the proof of the artifacts allowed; the self-test uses the same.
    public let limits: [Limit]
    public let files: [FileEntry]
    public let weightsLicense: String

    /// False where the network takes tensors as they are: `preprocess` throws then.
    public var takesPicture: Bool { sampling != nil }

    public var preprocess: PreprocessSpec {
        get throws {
            guard let sampling else {
                throw OnParError.badInput("\(id) takes tensors, no picture; open it with TensorModel")
            }
            return sampling
        }
    }

    /// The network's own inputs and outputs; a file may hold one in another type (`modelFiles`).
    public var inputs: [TensorEntry] { modelFiles[0].inputs.map(ofNetwork) }
    public var outputs: [TensorEntry] { modelFiles[0].outputs.map(ofNetwork) }

    /// Golden tensors have the network's types, whatever a runtime made of them.
    private func ofNetwork(_ tensor: TensorEntry) -> TensorEntry {
        var found = tensor
        if let proof = golden[0].tensors.first(where: { $0.tensor.name == tensor.name }) { found.dtype = proof.tensor.dtype }
        return found
    }
}

/// How a picture or depth map becomes the input tensor; height and width are those of the network.
public struct PreprocessSpec: Sendable, Equatable {
    public let height: Int
    public let width: Int
    public var color = "RGB"
    public var resize = "cover"
    public var boxGrow = 0.0
}

public struct PostprocessSpec: Sendable {
    public let result: String
    public let threshold: Float?
}

public struct TensorEntry: Sendable {
    public let name: String
    public let shape: [Int]
    public var dtype = DType.float32
    /// What a value means, e.g. `logit`, `xyxy_pixels`, `metres`.
    public var unit = ""
    public var size: Int { shape.reduce(1, *) }
}

public struct ModelFile: Sendable {
    public let file: String
    public let runtime: String
    public let precision: String
    public let minimumRuntime: String
    public let executedHereBy: String
    public let inputs: [TensorEntry]
    public let outputs: [TensorEntry]
}

/// A golden tensor; with a stride above 1, the file holds every stride-th value, flat.
public struct GoldenTensor: Sendable {
    public let file: String
    public let tensor: TensorEntry
    public let stride: Int
}

public struct GoldenCase: Sendable {
    /// The picture or depth map of the first input; empty where the network takes tensors alone.
    public let raw: String
    public let tensors: [GoldenTensor]
}

public struct Limit: Sendable {
    public let runtime: String
    public let output: String
    public let metric: String
    public let limit: Double
}

public struct FileEntry: Sendable {
    public let path: String
    public let sha256: String
}

/// A question mark: older bundles of this format lack the key.
private enum Keys {
    static let top =
        "format_version id model task target precision document description labels preprocess postprocess model_files "
        + "golden parity accuracy accuracy_data tool_versions git_commit code_license weights_license spec files sounds?"
    static let preprocess = "size color resize crop interpolation mean std box_grow layout orientation normalization"
    static let modelFile =
        "file runtime precision sha256 bytes minimum_runtime executed_here_by inputs outputs delegation "
        + "quantization? accuracy?"
    static let goldenTensor = "file case tensor shape stride dtype?"
    static let tensor = "name shape dtype layout unit value_range quantization_parameters"
    static let check = "runtime stage output metric value limit passed"
}

extension Manifest {
    /// Read the bytes of bundle.json.
    public init(parsing content: Data) throws {
        guard let document = try? Json.parse(content) else {
            throw OnParError.bundleInvalid("bundle.json is no JSON; export the bundle again")
        }
        guard document["format_version"] == .number(Double(Manifest.formatVersion)) else {
            let version = document["format_version"]?.number.map { String(Int($0)) } ?? "none"
            throw OnParError.bundleInvalid(
                "bundle.json has format_version \(version); allowed: \(Manifest.formatVersion); update onpar or export again"
            )
        }
        let top = try Fields("bundle.json", document, Keys.top)
        id = try top.text("id")
        model = try top.text("model")
        task = try top.text("task")
        description = try top.text("description")
        labels = try top.texts("labels")
        sampling =
            top.isNull("preprocess") ? nil : try PreprocessSpec(top.fields("preprocess", Keys.preprocess))
        postprocess = try PostprocessSpec(top.fields("postprocess", "result threshold"))
        modelFiles = try top.each("model_files", Keys.modelFile).map(ModelFile.init)
        golden = try top.each("golden", "raw tensors").map(GoldenCase.init)
        limits = try top.each("parity", Keys.check).compactMap(Limit.init)
        files = try top.each("files", "path sha256 bytes").map {
            FileEntry(path: try safePath($0.text("path")), sha256: try $0.text("sha256"))
        }
        weightsLicense = try top.text("weights_license")
        if modelFiles.isEmpty || golden.isEmpty {
            throw OnParError.bundleInvalid("bundle.json lacks artifacts or golden inputs; export the bundle again")
        }
        let proved = Set(golden[0].tensors.map(\.tensor.name))
        if let other = (modelFiles[0].inputs + modelFiles[0].outputs).first(where: { !proved.contains($0.name) }) {
            throw OnParError.bundleInvalid("bundle.json has no golden '\(other.name)'; export the bundle again")
        }
    }
}

extension PreprocessSpec {
    init(_ item: Fields) throws {
        let size = try item.integers("size")
        guard size.count == 2, size.min()! >= 1 else {
            throw OnParError.bundleInvalid("bundle.json: size is \(size); allowed: height, width; export again")
        }
        _ = try item.demand("crop", "center")
        _ = try item.demand("layout", "NCHW")
        _ = try item.demand("orientation", "exif")
        _ = try item.demand("normalization", "in_graph")
        let color = try item.demand("color", "RGB", "DEPTH")
        _ = try item.demand("interpolation", color == "RGB" ? "bilinear_antialias" : "nearest")
        self.init(
            height: size[0], width: size[1], color: color,
            resize: try item.demand("resize", "cover", "contain", "stretch"), boxGrow: try item.number("box_grow"))
    }
}

extension PostprocessSpec {
    init(_ item: Fields) throws {
        result = try item.text("result")
        threshold = item.isNull("threshold") ? nil : Float(try item.number("threshold"))
    }
}

extension TensorEntry {
    init(_ item: Fields) throws {
        self.init(
            name: try item.text("name"), shape: try item.integers("shape"), dtype: try DType(item),
            unit: try item.text("unit"))
    }
}

extension DType {
    init(_ item: Fields) throws {
        let text = try item.text("dtype")
        guard let found = DType(rawValue: text) else {
            let allowed = DType.allCases.map(\.rawValue).joined(separator: ", ")
            throw OnParError.bundleInvalid("\(item.what).dtype is '\(text)'; allowed: \(allowed); update onpar")
        }
        self = found
    }
}

extension ModelFile {
    init(_ item: Fields) throws {
        file = try safePath(item.text("file"))
        runtime = try item.text("runtime")
        precision = try item.text("precision")
        minimumRuntime = try item.text("minimum_runtime")
        executedHereBy = try item.text("executed_here_by")
        inputs = try item.each("inputs", Keys.tensor).map(TensorEntry.init)
        outputs = try item.each("outputs", Keys.tensor).map(TensorEntry.init)
    }
}

extension GoldenCase {
    init(_ item: Fields) throws {
        raw = try item.text("raw")
        tensors = try item.each("tensors", Keys.goldenTensor).map {
            let dtype = $0.has("dtype") ? try DType($0) : .float32
            let tensor = TensorEntry(name: try $0.text("tensor"), shape: try $0.integers("shape"), dtype: dtype)
            return GoldenTensor(file: try safePath($0.text("file")), tensor: tensor, stride: try $0.integer("stride"))
        }
    }
}

extension Limit {
    /// nil for a figure that is reported and not judged, or of another stage.
    init?(_ item: Fields) throws {
        if try !artifactStages.contains(item.text("stage")) || item.isNull("limit") { return nil }
        runtime = try item.text("runtime")
        output = try item.text("output")
        metric = try item.text("metric")
        limit = try item.number("limit")
    }
}

func thresholdOf(_ manifest: Manifest) throws -> Float {
    guard let value = manifest.postprocess.threshold else {
        throw OnParError.bundleInvalid("\(manifest.id) has no threshold; export the bundle again")
    }
    return value
}

/// The stages that judge a saved artifact.
private let artifactStages = ["lowered_vs_artifact", "float_vs_quantized"]

private func safePath(_ path: String) throws -> String {
    if path.hasPrefix("/") || path.split(separator: "/").contains("..") {
        throw OnParError.bundleInvalid(
            "bundle.json lists '\(path)', which lies outside the bundle; don't use this bundle")
    }
    return path
}

import Foundation

/// A movement: `frames` matrices per joint, `frameRate` of them a second; it repeats.
public struct CharacterClip: Sendable {
    public let name: String
    public let frameRate: Double
    public let frames: Int
    let matrices: [Float]
    let goldenFrames: [Int]
    let goldenVertices: [Float]
}

/// A character file (docs/character.md): read and checked; V vertices, M triangles, J joints.
public struct CharacterFile: Sendable {
    public let name: String
    public let jointNames: [String]
    public let vertexCount: Int
    /// V x 3: the rest pose, one figure tall.
    public let vertices: [Float]
    /// V x 2: place in the texture; (0, 0) is its top left corner.
    public let uvs: [Float]
    /// M x 3 numbers of vertices.
    public let faces: [Int]
    /// The drawing, a PNG file.
    public let texturePng: Data
    /// Per joint the joint above it, -1 for the root; with `restPositions` (J x 3), for showing the skeleton.
    public let parents: [Int]
    public let restPositions: [Float]
    public let clips: [CharacterClip]
    /// Largest deviation from the golden vertices, in figure heights.
    public let goldenLimit: Double
    let joints: [Int]
    let weights: [Float]

    /// Read a file's bytes and check format, version, SHA-256 and every tensor.
    public init(parsing content: Data, name: String = "character") throws {
        let tensors = try SafeTensors(
            content, name, kind: "character file", advice: "write it again with reference.animate")
        let metadata = tensors.metadata
        let found = "\(metadata["format"]?.text ?? "none") \(metadata["format_version"]?.text ?? "none")"
        guard found == "onpar.character 1" else {
            throw OnParError.bundleInvalid(
                "\(name) has format \(found); allowed: onpar.character 1; update onpar or write the file again")
        }
        guard sha256(tensors.data) == metadata["sha256"]?.text else {
            throw OnParError.checksumMismatch("\(name) is cut or differs from its sha256; get the file again")
        }
        self.name = name
        jointNames = try tensors.list("joint_names").compactMap(\.text)
        let joint = jointNames.count
        vertexCount = try tensors.length("vertices")
        guard vertexCount > 0, joint > 0 else { throw tensors.damaged("no vertices or joints") }
        vertices = try tensors.floats("vertices", [vertexCount, 3])
        uvs = try tensors.floats("uvs", [vertexCount, 2])
        faces = try tensors.integers("faces", [tensors.length("faces"), 3], 0..<vertexCount)
        joints = try tensors.integers("joints", [vertexCount, 4], 0..<joint)
        weights = try tensors.floats("weights", [vertexCount, 4])
        for v in 0..<vertexCount {
            let sum = weights[4 * v..<4 * v + 4].reduce(0, +)
            if abs(sum - 1) > 1e-3 { throw tensors.damaged("the weights of vertex \(v) sum to \(sum); allowed: 1") }
        }
        parents = try tensors.integers("parents", [joint], -1..<joint)
        restPositions = try tensors.floats("rest_positions", [joint, 3])
        texturePng = try tensors.bytes("texture_png", ["U8"], [tensors.length("texture_png")])
        goldenLimit = tensors.metadata["golden_limit"]?.text.flatMap(Double.init) ?? .nan
        // A limit that any skinning keeps would prove nothing.
        guard goldenLimit > 0, goldenLimit <= 1e-4 else {
            throw tensors.damaged("golden_limit is \(goldenLimit); allowed: up to 0.0001")
        }
        let count = vertexCount
        clips = try tensors.list("clips").map { try CharacterClip($0, tensors, joint, count) }
        guard !clips.isEmpty, Set(clips.map(\.name)).count == clips.count else {
            throw tensors.damaged("no clips, or two of one name")
        }
    }
}

extension CharacterClip {
    fileprivate init(_ entry: Json, _ tensors: SafeTensors, _ joint: Int, _ vertexCount: Int) throws {
        guard let name = entry["name"]?.text, let frameRate = entry["frame_rate"]?.number,
            let frames = entry["frames"]?.integer, frameRate > 0, frameRate.isFinite, frames > 0
        else { throw tensors.damaged("a clip lacks name, frame_rate or frames") }
        (self.name, self.frameRate, self.frames) = (name, frameRate, frames)
        matrices = try tensors.floats("clip.\(name).matrices", [frames, joint, 3, 4])
        let golden = try tensors.length("golden.\(name).frames")
        guard golden > 0 else { throw tensors.damaged("clip \(name) has no golden frames") }
        goldenFrames = try tensors.integers("golden.\(name).frames", [golden], 0..<frames)
        goldenVertices = try tensors.floats("golden.\(name).vertices", [golden, vertexCount, 3])
    }
}

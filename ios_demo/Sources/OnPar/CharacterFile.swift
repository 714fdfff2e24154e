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
        let tensors = try SafeTensors(content, name)
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

/// The tensors of a safetensors file whose format and SHA-256 were checked.
private struct SafeTensors {
    let metadata: Json
    private let name: String
    private let header: Json
    private let data: Data

    init(_ content: Data, _ name: String) throws {
        let length = content.count < 8 ? 0 : SafeTensors.little(content.prefix(8), 8)
        guard length >= 2, length <= content.count - 8 else {
            throw OnParError.bundleInvalid(
                "\(name) is no character file or is cut: \(content.count) bytes; give one that reference.animate wrote")
        }
        let start = content.startIndex + 8 + Int(length)
        guard let header = try? Json.parse(Data(content[content.startIndex + 8..<start])) else {
            throw OnParError.bundleInvalid("\(name) has a damaged header; write it again with reference.animate")
        }
        let metadata = header["__metadata__"] ?? .null
        let found = "\(metadata["format"]?.text ?? "none") \(metadata["format_version"]?.text ?? "none")"
        guard found == "onpar.character 1" else {
            throw OnParError.bundleInvalid(
                "\(name) has format \(found); allowed: onpar.character 1; update onpar or write the file again")
        }
        data = Data(content[start...])
        guard sha256(data) == metadata["sha256"]?.text else {
            throw OnParError.checksumMismatch("\(name) is cut or differs from its sha256; get the file again")
        }
        (self.name, self.header, self.metadata) = (name, header, metadata)
    }

    func damaged(_ what: String) -> OnParError {
        .bundleInvalid("\(name): \(what); write it again with reference.animate")
    }

    func list(_ key: String) throws -> [Json] {
        guard let text = metadata[key]?.text, let list = (try? Json.parse(Data(text.utf8)))?.list else {
            throw damaged("'\(key)' is no list")
        }
        return list
    }

    /// A tensor's first dimension.
    func length(_ tensor: String) throws -> Int {
        guard let entry = header[tensor] else { throw damaged("no tensor '\(tensor)'") }
        return entry["shape"]?.list?.first?.integer ?? 0
    }

    /// A tensor's bytes; its type and shape must be the expected ones.
    func bytes(_ tensor: String, _ types: [String], _ wanted: [Int]) throws -> Data {
        guard let entry = header[tensor] else { throw damaged("no tensor '\(tensor)'") }
        let shape = entry["shape"]?.list?.compactMap(\.integer) ?? []
        guard let type = entry["dtype"]?.text, types.contains(type), shape == wanted, wanted.allSatisfy({ $0 >= 0 })
        else {
            throw damaged("'\(tensor)' is \(entry["dtype"]?.text ?? "") \(shape); allowed: \(types) \(wanted)")
        }
        let offsets = entry["data_offsets"]?.list?.compactMap(\.integer) ?? []
        // In Double: the product of sizes that no file has must not overflow.
        let size = wanted.reduce(Double(SafeTensors.width(type))) { $0 * Double($1) }
        guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= data.count,
            Double(offsets[1] - offsets[0]) == size
        else { throw damaged("'\(tensor)' lies outside the file") }
        return data.subdata(in: offsets[0]..<offsets[1])
    }

    func floats(_ tensor: String, _ shape: [Int]) throws -> [Float] {
        let values = OnPar.floats(try bytes(tensor, ["F32"], shape))
        guard values.allSatisfy(\.isFinite) else { throw damaged("'\(tensor)' holds values that are no numbers") }
        return values
    }

    func integers(_ tensor: String, _ shape: [Int], _ allowed: Range<Int>) throws -> [Int] {
        let content = try bytes(tensor, ["U8", "U16", "U32", "I32"], shape)
        let type = header[tensor]?["dtype"]?.text ?? ""
        let values = content.withUnsafeBytes { bytes in
            switch type {
            case "U8": bytes.map { Int($0) }
            case "U16":
                (0..<bytes.count / 2).map {
                    Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)))
                }
            default:
                (0..<bytes.count / 4).map {
                    Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self)))
                }
            }
        }
        if let wrong = values.first(where: { !allowed.contains($0) }) {
            throw damaged("\(tensor) names \(wrong); allowed: \(allowed.lowerBound) to \(allowed.upperBound - 1)")
        }
        return values
    }

    private static func width(_ type: String) -> Int { ["U8": 1, "U16": 2][type] ?? 4 }

    private static func little(_ bytes: Data, _ count: Int) -> UInt64 {
        bytes.prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

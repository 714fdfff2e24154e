import Foundation

/// The tensors of a safetensors file; each is read only after its type, shape and place were checked.
struct SafeTensors {
    let metadata: Json
    /// The tensors' bytes, without the header.
    let data: Data
    private let name: String
    private let advice: String
    private let header: Json

    /// - Parameters:
    ///   - kind: what the file should be.
    ///   - advice: what to do where it is not.
    init(_ content: Data, _ name: String, kind: String, advice: String) throws {
        let length = content.count < 8 ? 0 : SafeTensors.little(content.prefix(8), 8)
        guard length >= 2, length <= content.count - 8 else {
            throw OnParError.bundleInvalid("\(name) is no \(kind) or is cut: \(content.count) bytes; \(advice)")
        }
        let start = content.startIndex + 8 + Int(length)
        guard let header = try? Json.parse(Data(content[content.startIndex + 8..<start])) else {
            throw OnParError.bundleInvalid("\(name) has a damaged header; \(advice)")
        }
        data = Data(content[start...])
        (self.name, self.advice, self.header) = (name, advice, header)
        metadata = header["__metadata__"] ?? .null
    }

    func damaged(_ what: String) -> OnParError { .bundleInvalid("\(name): \(what); \(advice)") }

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

    /// A tensor's last dimension.
    func last(_ tensor: String) -> Int { header[tensor]?["shape"]?.list?.last?.integer ?? 0 }

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

import Foundation
import OnParLiteRT
import Testing

@testable import OnPar

/// The repository's root.
let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../..").standardized
let bundles = root.appendingPathComponent("build/apps/bundles")
let liteRT = root.appendingPathComponent("build/apps/libLiteRt.so").path

/// A case of tests/vectors/vectors.json.
struct Case: Sendable, CustomStringConvertible {
    nonisolated(unsafe) let json: [String: Any]
    var description: String { json["name"] as? String ?? result }

    func text(_ key: String) -> String { json[key] as! String }
    func int(_ key: String) -> Int { (json[key] as? NSNumber)?.intValue ?? 0 }
    func bytes(_ key: String) -> [UInt8] { [UInt8](Data(base64Encoded: text(key))!) }
    func ints(_ key: String) -> [Int] {
        guard case .int32(let values) = TensorValues(bytes: Data(bytes(key)), .int32) else { return [] }
        return values.map { Int($0) }
    }
    func floats(_ key: String) -> [Float] { OnPar.floats(Data(base64Encoded: text(key))!) }
    func object(_ key: String) -> Case { Case(json: json[key] as! [String: Any]) }
    func doubles(_ key: String) -> [Double]? { (json[key] as? [NSNumber])?.map(\.doubleValue) }
    var result: String { ((json["postprocess"] as? [String: Any])?["result"] as? String) ?? "" }

    static func all(_ group: String) -> [Case] {
        let data = try! Data(contentsOf: root.appendingPathComponent("tests/vectors/vectors.json"))
        let document = try! JSONSerialization.jsonObject(with: data) as! [String: Any]
        return (document[group] as! [[String: Any]]).map(Case.init)
    }

    var spec: PreprocessSpec {
        let p = object("preprocess")
        let size = p.doubles("size")!
        return PreprocessSpec(
            height: Int(size[0]), width: Int(size[1]), color: p.text("color"), resize: p.text("resize"),
            boxGrow: (p.json["box_grow"] as! NSNumber).doubleValue)
    }

    var box: Box? { doubles("box").map { Box(x0: $0[0], y0: $0[1], x1: $0[2], y1: $0[3]) } }

    var region: Region {
        let r = doubles("region")!
        return Region(left: r[0], top: r[1], width: r[2], height: r[3])
    }

    func picture() throws -> Picture {
        try Picture(width: int("width"), height: int("height"), bytes: bytes("rgb"), orientation: int("orientation"))
    }

    func frame(orientation: Int? = nil) throws -> YuvFrame {
        let planes = object("planes")
        func plane(_ name: String) -> Plane {
            let p = planes.object(name)
            return Plane(data: p.bytes("data"), rowStride: p.int("row_stride"), pixelStride: p.int("pixel_stride"))
        }
        guard let range = YuvRange(rawValue: text("range")), let matrix = YuvMatrix(rawValue: text("matrix")) else {
            throw OnParError.badInput("no such range or matrix")
        }
        return try YuvFrame(
            width: int("width"), height: int("height"), y: plane("y"), u: plane("u"), v: plane("v"),
            orientation: orientation ?? int("orientation"), range: range, matrix: matrix)
    }

    func depth() throws -> DepthMap {
        let bytes = bytes("millimetres")
        let values = (0..<bytes.count / 2).map { UInt16(bytes[2 * $0]) | UInt16(bytes[2 * $0 + 1]) << 8 }
        return try DepthMap(width: int("width"), height: int("height"), millimetres: values)
    }
}

/// Largest difference; NaN and another length count as infinite.
func difference(_ a: [Float], _ b: [Float]) -> Double {
    guard a.count == b.count else { return .infinity }
    return zip(a, b).reduce(0) { $1.0.isNaN ? .infinity : max($0, abs(Double($1.0) - Double($1.1))) }
}

func difference(_ a: Region, _ b: Region) -> Double {
    [a.left - b.left, a.top - b.top, a.width - b.width, a.height - b.height].map(abs).max()!
}

private let bundleNames = try! FileManager.default.contentsOfDirectory(atPath: bundles.path).filter { $0.contains("-") }

/// The folder of a model's bundle with a .tflite file: the one for Android, or the one for the web.
func bundleFolder(_ model: String) -> URL {
    let found = ["android", "web"].lazy.compactMap { target in
        bundleNames.first { $0.hasPrefix("\(model)-\(target)-") }
    }
    return bundles.appendingPathComponent(found.first!)
}

func hasBundle(_ model: String) -> Bool { bundleNames.contains { $0.hasPrefix("\(model)-") } }

/// One bundle of every model that there is.
let everyBundle: [String] = Set(bundleNames.map { String($0.prefix { $0 != "-" }) }).sorted().map {
    bundleFolder($0).lastPathComponent
}

let liteRTRunner: RunnerFactory = { try LiteRTRunner($0, library: liteRT) }

/// The name and message of the OnPar error that a call ends with.
func refusal(_ body: () async throws -> Void) async -> (name: String, message: String) {
    do {
        try await body()
        return ("no error", "")
    } catch let error as OnParError {
        return (error.name, error.message)
    } catch {
        return ("another error", "\(error)")
    }
}

import Foundation

/// A parsed JSON value.
enum Json: Decodable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case text(String)
    case list([Json])
    case object([String: Json])

    init(from decoder: Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([Json].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: Json].self))
        }
    }

    static func parse(_ content: Data) throws -> Json { try JSONDecoder().decode(Json.self, from: content) }

    subscript(key: String) -> Json? {
        if case .object(let values) = self { values[key] } else { nil }
    }

    var text: String? { if case .text(let value) = self { value } else { nil } }

    var number: Double? { if case .number(let value) = self { value } else { nil } }

    var integer: Int? { number.flatMap { Int(exactly: $0) } }

    var list: [Json]? { if case .list(let values) = self { values } else { nil } }
}

/// A JSON object whose keys are exactly the expected ones.
struct Fields {
    let what: String
    private let values: [String: Json]

    init(_ what: String, _ value: Json?, _ keys: String) throws {
        guard case .object(let values)? = value else {
            throw OnParError.bundleInvalid("\(what) is no JSON object; export the bundle again")
        }
        let needed = Set(keys.split(separator: " ").filter { !$0.hasSuffix("?") }.map(String.init))
        let allowed = Set(keys.replacingOccurrences(of: "?", with: "").split(separator: " ").map(String.init))
        let present = Set(values.keys)
        let faults =
            present.subtracting(allowed).sorted().map { "unknown '\($0)'" }
            + needed.subtracting(present).sorted().map { "no '\($0)'" }
        if !faults.isEmpty {
            let found = faults.joined(separator: ", ")
            throw OnParError.bundleInvalid("\(what) has \(found); update onpar or export the bundle again")
        }
        self.what = what
        self.values = values
    }

    func has(_ key: String) -> Bool { values[key] != nil }

    func isNull(_ key: String) -> Bool { values[key] == .null }

    func text(_ key: String) throws -> String { try values[key]?.text ?? wrong(key, "a text") }

    func number(_ key: String) throws -> Double { try values[key]?.number ?? wrong(key, "a number") }

    func integer(_ key: String) throws -> Int { try values[key]?.integer ?? wrong(key, "a whole number") }

    func texts(_ key: String) throws -> [String] { try list(key).map { try $0.text ?? wrong(key, "a list of texts") } }

    func integers(_ key: String) throws -> [Int] {
        try list(key).map { try $0.integer ?? wrong(key, "a list of whole numbers") }
    }

    func fields(_ key: String, _ keys: String) throws -> Fields { try Fields("\(what).\(key)", values[key], keys) }

    func each(_ key: String, _ keys: String) throws -> [Fields] {
        try list(key).enumerated().map { try Fields("\(what).\(key)[\($0)]", $1, keys) }
    }

    func demand(_ key: String, _ allowed: String...) throws -> String {
        let value = try text(key)
        if !allowed.contains(value) {
            let list = allowed.joined(separator: ", ")
            throw OnParError.bundleInvalid("\(what).\(key) is '\(value)'; allowed: \(list); update onpar")
        }
        return value
    }

    private func list(_ key: String) throws -> [Json] { try values[key]?.list ?? wrong(key, "a list") }

    private func wrong<T>(_ key: String, _ allowed: String) throws -> T {
        throw OnParError.bundleInvalid("\(what).\(key) can't be used; allowed: \(allowed); export the bundle again")
    }
}

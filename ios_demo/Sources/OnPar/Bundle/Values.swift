import Foundation

/// Types of tensors.
public enum DType: String, Sendable, CaseIterable {
    case float32, float16, int32, int64, uint8, bool

    /// Of one value.
    public var bytes: Int {
        switch self {
        case .float32, .int32: 4
        case .float16: 2
        case .int64: 8
        case .uint8, .bool: 1
        }
    }
}

/// Values of a tensor, row by row; `float` holds float32 and float16.
public enum TensorValues: Sendable, Equatable {
    case float([Float])
    case int32([Int32])
    case int64([Int64])
    case uint8([UInt8])
    case bool([Bool])
}

public typealias NamedValues = [String: TensorValues]

extension TensorValues {
    /// Little-endian bytes as values.
    public init(bytes: Data, _ dtype: DType) {
        func all<T: FixedWidthInteger>(_ type: T.Type) -> [T] {
            bytes.withUnsafeBytes { raw in
                stride(from: 0, to: raw.count, by: MemoryLayout<T>.size).map {
                    T(littleEndian: raw.loadUnaligned(fromByteOffset: $0, as: T.self))
                }
            }
        }
        switch dtype {
        case .float32: self = .float(OnPar.floats(bytes))
        case .float16: self = .float(all(UInt16.self).map(floatOfHalf))
        case .int32: self = .int32(all(Int32.self))
        case .int64: self = .int64(all(Int64.self))
        case .uint8: self = .uint8([UInt8](bytes))
        case .bool: self = .bool(bytes.map { $0 != 0 })
        }
    }

    public var count: Int {
        switch self {
        case .float(let values): values.count
        case .int32(let values): values.count
        case .int64(let values): values.count
        case .uint8(let values): values.count
        case .bool(let values): values.count
        }
    }

    /// For metrics: exact, but of whole numbers beyond 2^53.
    var doubles: [Double] {
        switch self {
        case .float(let values): values.map(Double.init)
        case .int32(let values): values.map(Double.init)
        case .int64(let values): values.map(Double.init)
        case .uint8(let values): values.map(Double.init)
        case .bool(let values): values.map { $0 ? 1 : 0 }
        }
    }

    /// For decoders of pictures, which read class numbers as floats, too.
    public var floats: [Float] { if case .float(let values) = self { values } else { doubles.map { Float($0) } } }

    /// What holds values of a type, for people.
    static func holder(of dtype: DType) -> String { dtype == .float16 || dtype == .float32 ? "float" : dtype.rawValue }

    var holder: String {
        switch self {
        case .float: "float"
        case .int32: "int32"
        case .int64: "int64"
        case .uint8: "uint8"
        case .bool: "bool"
        }
    }

    /// Little-endian bytes in an artifact's type, which may be int32 for whole numbers. A value that does not fit is
    /// refused.
    ///
    /// - Parameter name: of the tensor, for the error.
    public func encoded(as dtype: DType, _ name: String) throws -> [UInt8] {
        switch (self, dtype) {
        case (.float(let values), .float32): raw(values)
        case (.float(let values), .float16): raw(try values.map { try half(of: $0, name) })
        case (.int32(let values), .int32): raw(values)
        case (.int64(let values), .int64): raw(values)
        case (.int64(let values), .int32): raw(try values.map { try narrow($0, name) })
        case (.uint8(let values), .uint8): values
        case (.uint8(let values), .int32): raw(values.map(Int32.init))
        case (.bool(let values), .bool): values.map { $0 ? 1 : 0 }
        case (.bool(let values), .int32): raw(values.map { Int32($0 ? 1 : 0) })
        default:
            throw OnParError.bundleInvalid("'\(name)' is \(holder), the artifact takes \(dtype.rawValue); export again")
        }
    }

    /// An artifact's values in the network's own type.
    public func widened(to dtype: DType) -> TensorValues {
        guard case .int32(let values) = self else { return self }
        return switch dtype {
        case .int64: .int64(values.map(Int64.init))
        case .uint8: .uint8(values.map { UInt8(truncatingIfNeeded: $0) })
        case .bool: .bool(values.map { $0 != 0 })
        default: self
        }
    }
}

/// Refuse other inputs than the network takes.
public func checkInputs(_ inputs: [TensorEntry], _ given: NamedValues) throws {
    if let unknown = given.keys.sorted().first(where: { name in !inputs.contains { $0.name == name } }) {
        let allowed = inputs.map(\.name).joined(separator: ", ")
        throw OnParError.badInput("there is no input '\(unknown)'; allowed: \(allowed)")
    }
    for tensor in inputs {
        let (values, needed) = (given[tensor.name], TensorValues.holder(of: tensor.dtype))
        if values?.holder == needed && values?.count == tensor.size { continue }
        let found = values.map { "\($0.holder), \($0.count) values" } ?? "missing"
        throw OnParError.badInput(
            "input '\(tensor.name)' is \(found); needed: \(needed), \(tensor.size) values, "
                + "\(tensor.dtype.rawValue) \(tensor.shape)")
    }
}

private func raw<T>(_ values: [T]) -> [UInt8] { values.withUnsafeBytes(Array.init) }

private func narrow(_ value: Int64, _ name: String) throws -> Int32 {
    guard let narrowed = Int32(exactly: value) else {
        throw OnParError.badInput(
            "input '\(name)' holds \(value); the artifact takes 32 bits: \(Int32.min) to \(Int32.max)")
    }
    return narrowed
}

private let smallestExponent = -14

/// IEEE 754 binary16: a sign, 5 bits of exponent, 10 of fraction. Swift's own Float16 is not on every Mac.
func floatOfHalf(_ bits: UInt16) -> Float {
    let (exponent, fraction) = (Int(bits >> 10 & 0x1f), Float(bits & 0x3ff))
    let size: Float =
        switch exponent {
        case 0: Float(sign: .plus, exponent: -24, significand: fraction)
        case 0x1f: fraction == 0 ? .infinity : .nan
        default: Float(sign: .plus, exponent: exponent - 25, significand: fraction + 1024)
        }
    return bits & 0x8000 == 0 ? size : -size
}

/// The nearest half, of two as near the even one.
func half(of value: Float, _ name: String) throws -> UInt16 {
    let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
    if value.isNaN { return sign | 0x7e00 }
    let size = abs(value)
    if size.isInfinite { return sign | 0x7c00 }
    // From here on a number rounds to infinity.
    if size >= 65520 { throw OnParError.badInput("input '\(name)' holds \(value); float16 ends at 65504") }
    let exponent = size == 0 ? smallestExponent : max(Int(size.exponent), smallestExponent)
    let steps = Double(sign: .plus, exponent: 10 - exponent, significand: Double(size)).rounded(.toNearestOrEven)
    return sign | UInt16(Int(steps) + (exponent - smallestExponent) << 10)
}

import Dispatch

public struct Timings: Sendable {
    public let preMs, inferenceMs, postMs: Double
}

/// A result with what it took.
public struct Detection<Value: Sendable>: Sendable {
    public let value: Value
    public let timings: Timings
    public let backend: String
}

func milliseconds(_ from: DispatchTime, _ to: DispatchTime) -> Double {
    Double(to.uptimeNanoseconds - from.uptimeNanoseconds) / 1e6
}

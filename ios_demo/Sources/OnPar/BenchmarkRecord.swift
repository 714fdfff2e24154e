import Dispatch
import Foundation

/// Where a record was taken; `kind` is `phone` or `host`: a computer's milliseconds say nothing about a phone's.
public struct Device: Sendable {
    public let name, kind, os, arch: String
    public let cores: Int

    public init(name: String, kind: String, os: String) {
        (self.name, self.kind, self.os) = (name, kind, os)
        #if arch(arm64)
            arch = "arm64"
        #else
            arch = "x86_64"
        #endif
        cores = ProcessInfo.processInfo.activeProcessorCount
    }
}

/// How long one artifact takes on this device: the record of sdk_build/records.py, schema version 2.
///
/// A sample is one run of the model alone. Loads happen in this process, so that the file may be in the page cache.
public struct BenchmarkRecord: Sendable {
    public let bundle: Bundle
    public let entry: ModelFile
    public let runtimeVersion, delegate: String
    public let device: Device
    public let samplesMs, loadSamplesMs: [Double]
    public let peakMb, modelMb: Double

    private static let warmUp = 5
    private static let loads = 3

    /// Time a bundle on its first golden input.
    ///
    /// - Parameters:
    ///   - runtimeVersion: of Core ML the system's version, else that of the library.
    ///   - delegate: what computes, e.g. `XNNPACK` or `Core ML`.
    public static func measure(
        _ bundle: Bundle, rounds: Int, device: Device, runtime: String, runtimeVersion: String, delegate: String,
        runner: RunnerFactory, progress: (Int) -> Void = { _ in }
    ) throws -> BenchmarkRecord {
        guard let entry = bundle.artifact(runtime) else {
            throw OnParError.backendUnavailable("\(bundle.name) holds nothing for \(runtime); export it again")
        }
        if rounds < 1 { throw OnParError.badInput("rounds is \(rounds); allowed: 1 or more") }
        let tensor = try GoldenSelfTest.preprocess(bundle, bundle.manifest.golden[0].raw)
        let before = peakMemory()
        let loadTimes = try (0..<loads).map { _ in try milliseconds { try runner(bundle).close() } }
        let loaded = try runner(bundle)
        defer { loaded.close() }
        for _ in 0..<warmUp { _ = try loaded.run(tensor) }
        let samples = try (1...rounds).map { round in
            defer { progress(round) }
            return try milliseconds { _ = try loaded.run(tensor) }
        }
        let peak = peakMemory()
        return BenchmarkRecord(
            bundle: bundle, entry: entry, runtimeVersion: runtimeVersion, delegate: delegate, device: device,
            samplesMs: samples, loadSamplesMs: loadTimes, peakMb: peak, modelMb: peak - before)
    }

    /// Milliseconds that a share of the runs stayed below, between samples as numpy does it.
    public func quantile(_ share: Double) -> Double {
        let sorted = samplesMs.sorted()
        let position = share * Double(sorted.count - 1)
        let low = Int(position)
        let high = min(low + 1, sorted.count - 1)
        return sorted[low] + (sorted[high] - sorted[low]) * (position - Double(low))
    }

    public func toJson() throws -> Data {
        let place: [String: Any] = [
            "name": device.name, "kind": device.kind, "os": device.os, "arch": device.arch, "cores": device.cores,
        ]
        let fields: [String: Any] = [
            "bundle": bundle.manifest.id, "bundle_sha256": bundle.sha256, "model": bundle.manifest.model,
            "runtime": entry.runtime, "runtime_version": runtimeVersion, "precision": entry.precision,
            "delegate": delegate, "threads": 1, "device": place, "thermal": BenchmarkRecord.thermal(),
            "warm_up": BenchmarkRecord.warmUp, "samples_ms": samplesMs, "load_samples_ms": loadSamplesMs,
            "peak_mb": peakMb, "model_mb": modelMb, "peers": [Any](), "sustained": NSNull(), "schema_version": 2,
        ]
        return try JSONSerialization.data(withJSONObject: fields, options: [.prettyPrinted, .sortedKeys])
    }

    private static func thermal() -> String {
        #if canImport(Darwin)
            switch ProcessInfo.processInfo.thermalState {
            case .nominal: "nominal"
            case .fair: "fair"
            case .serious: "serious"
            case .critical: "critical"
            @unknown default: "unknown"
            }
        #else
            "unknown"
        #endif
    }

    private static func milliseconds(_ work: () throws -> Void) rethrows -> Double {
        let began = DispatchTime.now()
        try work()
        return Double(DispatchTime.now().uptimeNanoseconds - began.uptimeNanoseconds) / 1e6
    }

    /// Largest resident memory of this process so far, in MB.
    private static func peakMemory() -> Double {
        var usage = rusage()
        #if canImport(Darwin)
            getrusage(RUSAGE_SELF, &usage)
            return Double(usage.ru_maxrss) / 1_048_576  // bytes
        #else
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            return Double(usage.ru_maxrss) / 1024  // kilobytes
        #endif
    }
}

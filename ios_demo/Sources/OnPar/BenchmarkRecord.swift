import Dispatch
import Foundation

/// How long one artifact takes on this device: the fields of benchmarks/records.py, so that both can stand in one table.
///
/// A sample is one run of the model alone, as there; `processMs` holds preprocessing beside it.
public struct BenchmarkRecord: Sendable {
    public let bundle, model, runtime, precision, device: String
    public let samplesMs, processMs: [Double]
    public let loadMs, peakMb: Double

    private static let warmUp = 5
    private static let loads = 3

    /// Time a bundle on its first golden input.
    public static func measure(
        _ bundle: Bundle, rounds: Int, device: String, runtime: String, runner: RunnerFactory,
        progress: (Int) -> Void = { _ in }
    ) throws -> BenchmarkRecord {
        guard let entry = bundle.artifact(runtime) else {
            throw OnParError.backendUnavailable("\(bundle.name) holds nothing for \(runtime); export it again")
        }
        if rounds < 1 { throw OnParError.badInput("rounds is \(rounds); allowed: 1 or more") }
        let loadTimes = try (0..<loads).map { _ in try milliseconds { try runner(bundle).close() } }.sorted()
        let loaded = try runner(bundle)
        defer { loaded.close() }
        var (samples, process) = ([Double](), [Double]())
        for round in -warmUp..<rounds {
            var tensor: [Float] = []
            let before = try milliseconds { tensor = try GoldenSelfTest.preprocess(bundle, bundle.manifest.golden[0].raw) }
            let run = try milliseconds { _ = try loaded.run(tensor) }
            if round < 0 { continue }
            samples.append(run)
            process.append(before)
            progress(round + 1)
        }
        return BenchmarkRecord(
            bundle: bundle.manifest.id, model: bundle.manifest.model, runtime: runtime, precision: entry.precision,
            device: device, samplesMs: samples, processMs: process, loadMs: loadTimes[loads / 2], peakMb: peakMemory())
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
        let fields: [String: Any] = [
            "bundle": bundle, "model": model, "runtime": runtime, "precision": precision, "threads": 1, "device": device,
            "samples_ms": samplesMs, "process_ms": processMs, "peer_samples_ms": [String: Any](), "load_ms": loadMs,
            "peak_mb": peakMb, "schema_version": 1, "p50_ms": quantile(0.5), "p90_ms": quantile(0.9),
            "p99_ms": quantile(0.99), "peers": [String: Any](),
        ]
        return try JSONSerialization.data(withJSONObject: fields, options: [.prettyPrinted, .sortedKeys])
    }

    private static func milliseconds(_ work: () throws -> Void) rethrows -> Double {
        let began = DispatchTime.now()
        try work()
        return Double(DispatchTime.now().uptimeNanoseconds - began.uptimeNanoseconds) / 1e6
    }

    /// Largest resident memory of this process.
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

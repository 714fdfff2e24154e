import Dispatch
import Foundation

/// Where a record was taken; `kind` is `phone`, `emulator` or `host`: only a phone's milliseconds are a phone's.
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

    /// This phone, or simulator, under the name that its system has for it, e.g. `iPhone15,4`.
    public static func phone(os: String) -> Device {
        #if targetEnvironment(simulator)
            let name = ProcessInfo.processInfo.environment["SIMULATOR_MODEL_IDENTIFIER"] ?? machine()
            return Device(name: name, kind: "emulator", os: os)
        #else
            return Device(name: machine(), kind: "phone", os: os)
        #endif
    }

    /// What the hardware calls itself.
    static func machine() -> String {
        var system = utsname()
        uname(&system)
        return withUnsafeBytes(of: &system.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}

/// A while without a pause, which heat and the scheduler slow down: medians of the first and the last tenth of the calls.
public struct Sustained: Sendable {
    public let seconds: Double
    public let calls: Int
    public let firstP50Ms, lastP50Ms: Double
}

/// How long one artifact takes on this device: the record of sdk_build/bundle/records.py, schema version 2.
///
/// A sample is one run of the model alone. Loads happen in this process, so that the file may be in the page cache.
public struct BenchmarkRecord: Sendable {
    public let bundle: Bundle
    public let entry: ModelFile
    public let runtimeVersion, delegate: String
    public let device: Device
    public let samplesMs, loadSamplesMs: [Double]
    public let peakMb, modelMb: Double
    public var sustained: Sustained?

    private static let warmUp = 5
    private static let loads = 3

    /// Time a bundle on its first golden input.
    ///
    /// - Parameters:
    ///   - runtimeVersion: of Core ML the system's version, else that of the library.
    ///   - delegate: what computes, e.g. `XNNPACK` or `Core ML`.
    ///   - sustainedSeconds: run so long without a pause afterwards; 0: not at all.
    public static func measure(
        _ bundle: Bundle, rounds: Int, device: Device, runtime: String, runtimeVersion: String, delegate: String,
        runner: RunnerFactory, sustainedSeconds: Double = 0, progress: (Int) -> Void = { _ in }
    ) throws -> BenchmarkRecord {
        guard let entry = bundle.artifact(runtime) else {
            throw OnParError.backendUnavailable("\(bundle.name) holds nothing for \(runtime); export it again")
        }
        if rounds < 1 { throw OnParError.badInput("rounds is \(rounds); allowed: 1 or more") }
        let inputs = try GoldenSelfTest.inputs(bundle, bundle.manifest.golden[0])
        let before = peakMemory()
        let loadTimes = try (0..<loads).map { _ in try milliseconds { try runner(bundle).close() } }
        let loaded = try runner(bundle)
        defer { loaded.close() }
        let call = {
            guard inputs.count == 1, case .float(let tensor)? = inputs.values.first else {
                _ = try loaded.runTensors(inputs)
                return
            }
            _ = try loaded.run(tensor)
        }
        for _ in 0..<warmUp { try call() }
        let samples = try (1...rounds).map { round in
            defer { progress(round) }
            return try milliseconds(call)
        }
        let sustained = try sustainedSeconds > 0 ? sustain(sustainedSeconds, call) : nil
        let peak = peakMemory()
        return BenchmarkRecord(
            bundle: bundle, entry: entry, runtimeVersion: runtimeVersion, delegate: delegate, device: device,
            samplesMs: samples, loadSamplesMs: loadTimes, peakMb: peak, modelMb: peak - before,
            sustained: sustained)
    }

    private static func sustain(_ seconds: Double, _ work: () throws -> Void) throws -> Sustained {
        var times: [Double] = []
        let end = DispatchTime.now().uptimeNanoseconds + UInt64(seconds * 1e9)
        repeat { times.append(try milliseconds(work)) } while DispatchTime.now().uptimeNanoseconds < end
        let tenth = max(1, times.count / 10)
        return Sustained(
            seconds: seconds, calls: times.count, firstP50Ms: quantile(Array(times.prefix(tenth)), 0.5),
            lastP50Ms: quantile(Array(times.suffix(tenth)), 0.5))
    }

    /// Milliseconds that a share of the runs stayed below, between samples as numpy does it.
    public func quantile(_ share: Double) -> Double { BenchmarkRecord.quantile(samplesMs, share) }

    private static func quantile(_ samples: [Double], _ share: Double) -> Double {
        let sorted = samples.sorted()
        let position = share * Double(sorted.count - 1)
        let low = Int(position)
        let high = min(low + 1, sorted.count - 1)
        return sorted[low] + (sorted[high] - sorted[low]) * (position - Double(low))
    }

    public func toJson() throws -> Data {
        let lasting = sustained.map {
            ["seconds": $0.seconds, "calls": $0.calls, "first_p50_ms": $0.firstP50Ms, "last_p50_ms": $0.lastP50Ms]
                as [String: Any]
        }
        let place: [String: Any] = [
            "name": device.name, "kind": device.kind, "os": device.os, "arch": device.arch, "cores": device.cores,
        ]
        let fields: [String: Any] = [
            "bundle": bundle.manifest.id, "bundle_sha256": bundle.sha256, "model": bundle.manifest.model,
            "runtime": entry.runtime, "runtime_version": runtimeVersion, "precision": entry.precision,
            "delegate": delegate, "threads": 1, "device": place, "thermal": BenchmarkRecord.thermal(),
            "warm_up": BenchmarkRecord.warmUp, "samples_ms": samplesMs, "load_samples_ms": loadSamplesMs,
            "peak_mb": peakMb, "model_mb": modelMb, "peers": [Any](), "sustained": lasting ?? NSNull(), "schema_version": 2,
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

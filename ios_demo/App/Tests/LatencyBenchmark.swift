import OnPar
import UIKit
import XCTest

/// Times every bundle of the app and attaches the records to the test's result, from where
/// `python -m benchmarks.collect --ios RESULT.xcresult` takes them. Each takes a minute: after the burst the model runs
/// without a pause, which shows what heat costs.
final class LatencyBenchmark: XCTestCase {
    @MainActor func testEveryBundle() throws {
        let system = UIDevice.current.systemVersion
        let device = Device.phone(os: "iOS \(system)")
        let root = try XCTUnwrap(Bundle.main.url(forResource: "Bundles", withExtension: nil))
        let folders = try FileManager.default.contentsOfDirectory(at: root, includingPropertiesForKeys: nil)
        XCTAssertFalse(folders.isEmpty, "no bundle in the app; put iOS bundles of dist/ into App/Bundles")
        for folder in folders {
            let record = try BenchmarkRecord.measure(
                OnPar.Bundle(folder), rounds: 200, device: device, runtime: "coreml", runtimeVersion: "iOS \(system)",
                delegate: "Core ML", runner: { try CoreMLRunner($0) }, sustainedSeconds: 60)
            let attachment = XCTAttachment(data: try record.toJson(), uniformTypeIdentifier: "public.json")
            attachment.name = "\(folder.lastPathComponent).json"
            attachment.lifetime = .keepAlways
            add(attachment)
        }
    }
}

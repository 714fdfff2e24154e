import Foundation
import OnParLiteRT
import Testing

@testable import OnPar

/// Run in a process of their own (see check.sh): whatever other tests take or give back would be counted too.
@Suite struct MemoryTests {
    @Test func tenThousandTimesOpenAndCloseDoNotGrow() throws {
        let bundle = try Bundle(bundleFolder("classifier"))
        for _ in 0..<200 { try LiteRTRunner(bundle, library: liteRT).close() }
        let before = residentKilobytes()
        for _ in 0..<10_000 { try LiteRTRunner(bundle, library: liteRT).close() }
        let growth = residentKilobytes() - before
        #expect(growth < 30_000, "grew by \(growth) kB in 10,000 cycles")
    }

    private func residentKilobytes() -> Int {
        let status = try! String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        return Int(status.split(separator: "\n").first { $0.hasPrefix("VmRSS") }!.filter(\.isNumber))!
    }
}

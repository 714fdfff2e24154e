import Foundation
import Observation
import OnPar

/// The chosen bundle and its detector.
@MainActor @Observable
final class DemoModel {
    let names: [String]
    var name: String
    private(set) var bundle: OnParBundle?
    private(set) var detector: AnyDetector?
    private(set) var problem: String?
    private let folder = Foundation.Bundle.main.resourceURL!.appendingPathComponent("Bundles")

    init() {
        let found = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
        names = (found ?? []).filter { $0.contains("-ios-") }.sorted()
        name = names.first ?? ""
    }

    /// Open the chosen bundle away from the main thread: checksums and Core ML's compilation take a moment.
    func open() {
        let (folder, name, names) = (folder, name, names)
        (bundle, detector, problem) = (nil, nil, nil)
        Task {
            do {
                let opened = try await Task.detached { () -> (OnParBundle, AnyDetector) in
                    let bundle = try OnParBundle(folder.appendingPathComponent(name))
                    let detector = try AnyDetector(bundle) { model in
                        try names.first { $0.hasPrefix("\(model)-") }.map {
                            try OnParBundle(folder.appendingPathComponent($0))
                        }
                    }
                    return (bundle, detector)
                }.value
                (bundle, detector) = opened
            } catch {
                say(error)
            }
        }
    }

    func say(_ error: Error) {
        problem = (error as? OnParError).map { "\($0.name): \($0.message)" } ?? error.localizedDescription
    }
}

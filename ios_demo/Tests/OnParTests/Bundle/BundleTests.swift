import Foundation
import OnParLiteRT
import Testing

@testable import OnPar

/// One way to damage a bundle, and what must be said about it.
struct Damage: Sendable, CustomStringConvertible {
    let description: String
    let error: String
    let part: String
    let apply: @Sendable (URL) throws -> Void

    init(_ description: String, _ error: String, _ part: String, _ apply: @escaping @Sendable (URL) throws -> Void) {
        (self.description, self.error, self.part, self.apply) = (description, error, part, apply)
    }

    static func edit(_ folder: URL, _ from: String, _ to: String) throws {
        let url = folder.appendingPathComponent("bundle.json")
        let text = try String(contentsOf: url, encoding: .utf8)
        #expect(text.contains(from))
        try text.replacingOccurrences(of: from, with: to).write(to: url, atomically: true, encoding: .utf8)
    }

    static let all: [Damage] = [
        Damage("no bundle.json", "BundleNotFound", "no bundle.json") {
            try FileManager.default.removeItem(at: $0.appendingPathComponent("bundle.json"))
        },
        Damage("a newer format", "BundleInvalid", "format_version 2") {
            try edit($0, "\"format_version\": 1", "\"format_version\": 2")
        },
        Damage("an unknown key", "BundleInvalid", "unknown 'lables'") {
            try edit($0, "\"labels\": [", "\"lables\": [],\n\"labels\": [")
        },
        Damage("a missing key", "BundleInvalid", "no 'task'") { try edit($0, "\"task\":", "\"tusk\":") },
        Damage("a cut manifest", "BundleInvalid", "no JSON") { folder in
            let url = folder.appendingPathComponent("bundle.json")
            try Data(contentsOf: url).prefix(200).write(to: url)
        },
        Damage("a changed manifest", "SignatureInvalid", "differs from its SIGNATURE") {
            try edit($0, "\"task\"", " \"task\"")
        },
        Damage("a path that leads outside", "BundleInvalid", "outside the bundle") {
            try edit($0, "\"path\": \"card.md\"", "\"path\": \"../card.md\"")
        },
        Damage("a missing file", "ChecksumMismatch", "lacks card.md") {
            try FileManager.default.removeItem(at: $0.appendingPathComponent("card.md"))
        },
        Damage("no SIGNATURE", "ChecksumMismatch", "lacks SIGNATURE") {
            try FileManager.default.removeItem(at: $0.appendingPathComponent("SIGNATURE"))
        },
        Damage("one bit of the model", "ChecksumMismatch", "model.tflite differs") { folder in
            let url = folder.appendingPathComponent("model.tflite")
            var content = try Data(contentsOf: url)
            content[1000] ^= 1
            try content.write(to: url)
        },
        Damage("a truncated model", "ChecksumMismatch", "model.tflite differs") { folder in
            let url = folder.appendingPathComponent("model.tflite")
            try Data(contentsOf: url).prefix(5000).write(to: url)
        },
        Damage("an unlisted file", "BundleInvalid", "extra.bin") {
            try Data([1]).write(to: $0.appendingPathComponent("extra.bin"))
        },
    ]
}

@Suite struct BundleTests {
    /// A copy of the classifier's bundle that vanishes after `body`.
    private func withCopy(_ body: (URL) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.copyItem(at: bundleFolder("classifier"), to: folder)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder)
    }

    private func rewrite(_ folder: URL, _ change: (inout [String: Any]) -> Void) throws {
        let url = folder.appendingPathComponent("bundle.json")
        var document = try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as! [String: Any]
        change(&document)
        try JSONSerialization.data(withJSONObject: document).write(to: url)
    }

    /// Make a changed bundle consistent again, as its maker could.
    private func reseal(_ folder: URL) throws {
        try rewrite(folder) { document in
            document["files"] = (document["files"] as! [[String: Any]]).map { entry in
                var entry = entry
                let content = try! Data(contentsOf: folder.appendingPathComponent(entry["path"] as! String))
                entry["sha256"] = sha256(content)
                return entry
            }
        }
        let content = try Data(contentsOf: folder.appendingPathComponent("bundle.json"))
        let signature = "{\"algorithm\": \"none\", \"sha256\": \"\(sha256(content))\"}"
        try Data(signature.utf8).write(to: folder.appendingPathComponent("SIGNATURE"))
    }

    @Test func aGoodBundleOpens() throws {
        let bundle = try Bundle(bundleFolder("classifier"))
        #expect(bundle.signature == .notSigned)
        #expect(bundle.manifest.task == "image_classification" && bundle.manifest.labels.count > 1)
    }

    @Test(arguments: Damage.all) func isRefused(_ damage: Damage) async throws {
        try await withCopy { folder in
            try damage.apply(folder)
            let found = await refusal { _ = try Bundle(folder) }
            #expect(found.name == damage.error && found.message.contains(damage.part), "\(found)")
        }
    }

    @Test func unsignedWhereAKeyIsTrusted() async {
        #expect(
            await refusal { _ = try Bundle(bundleFolder("classifier"), trustedKey: "a key") }.name == "SignatureInvalid"
        )
    }

    @Test func noTfliteFileAlthoughItsChecksumFits() async throws {
        try await withCopy { folder in
            try Data(repeating: 7, count: 5000).write(to: folder.appendingPathComponent("model.tflite"))
            try reseal(folder)
            let found = await refusal { _ = try ImageClassifier.fromBundle(Bundle(folder), runner: liteRTRunner) }
            #expect(found.name == "BundleInvalid" && found.message.contains("no .tflite file"))
        }
    }

    @Test func aModelWithAnotherInputSize() async throws {
        try await withCopy { folder in
            try rewrite(folder) { document in
                var files = document["model_files"] as! [[String: Any]]
                for i in files.indices {
                    var inputs = files[i]["inputs"] as! [[String: Any]]
                    inputs[0]["shape"] = [1, 3, 64, 128]
                    files[i]["inputs"] = inputs
                }
                document["model_files"] = files
            }
            try reseal(folder)
            let found = await refusal { _ = try ImageClassifier.fromBundle(Bundle(folder), runner: liteRTRunner) }
            #expect(found.name == "BundleInvalid" && found.message.contains("needed"), "\(found)")
        }
    }

    @Test func aGoldenTensorOfAnotherSize() async throws {
        try await withCopy { folder in
            let golden = try Bundle(folder).manifest.golden[0].tensors.first { $0.tensor.name == "logits" }!
            try Data(count: 8).write(to: folder.appendingPathComponent(golden.file))
            try reseal(folder)
            let found = await refusal {
                _ = try GoldenSelfTest.run(Bundle(folder), runtime: "litert", runner: liteRTRunner)
            }
            #expect(found.name == "BundleInvalid" && found.message.contains("does not fit its shape"), "\(found)")
        }
    }

    @Test func aBundleForAnotherTask() async {
        let found = await refusal {
            _ = try DepthVoxelizer.fromBundle(Bundle(bundleFolder("classifier")), runner: liteRTRunner)
        }
        #expect(found.name == "BadInput" && found.message.contains("VoxelGrid"))
    }

    @Test func noRuntimeThere() async {
        let found = await refusal {
            _ = try ImageClassifier.fromBundle(Bundle(bundleFolder("classifier"))) {
                try LiteRTRunner($0, library: "libNothing.so")
            }
        }
        #expect(found.name == "BackendUnavailable")
    }
}

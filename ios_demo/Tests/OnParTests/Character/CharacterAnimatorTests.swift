import Foundation
import Testing

@testable import OnPar

private let golden = root.appendingPathComponent("models/motions/golden/char1.character.safetensors")
private let content = try! Data(contentsOf: golden)
private let start = 8 + content.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }

/// The file with another header or other tensors, made consistent again, as its maker could.
private func changed(_ change: (inout [String: Any], inout Data) -> Void) throws -> Data {
    var header = try JSONSerialization.jsonObject(with: content[8..<start]) as! [String: Any]
    var data = Data(content[start...])
    let before = metadata(header, "sha256")
    change(&header, &data)
    if metadata(header, "sha256") == before { setMetadata(&header, "sha256", sha256(data)) }
    let text = try JSONSerialization.data(withJSONObject: header)
    var length = UInt64(text.count).littleEndian
    return Data(bytes: &length, count: 8) + text + data
}

private func metadata(_ header: [String: Any], _ key: String) -> String? {
    (header["__metadata__"] as? [String: Any])?[key] as? String
}

private func setMetadata(_ header: inout [String: Any], _ key: String, _ value: String) {
    var values = header["__metadata__"] as? [String: Any] ?? [:]
    values[key] = value
    header["__metadata__"] = values
}

private func set(_ header: inout [String: Any], _ tensor: String, _ key: String, _ value: Any) {
    var entry = header[tensor] as! [String: Any]
    entry[key] = value
    header[tensor] = entry
}

private func begin(_ header: [String: Any], _ tensor: String) -> Int {
    ((header[tensor] as! [String: Any])["data_offsets"] as! [NSNumber])[0].intValue
}

private func put(_ data: inout Data, _ at: Int, _ value: Float) {
    withUnsafeBytes(of: value.bitPattern.littleEndian) { data.replaceSubrange(at..<at + 4, with: $0) }
}

/// One way to damage a character file, and what must be said about it.
struct CharacterDamage: Sendable, CustomStringConvertible {
    let description: String
    let error: String
    let part: String
    let make: @Sendable () throws -> Data

    init(_ description: String, _ error: String, _ part: String, _ make: @escaping @Sendable () throws -> Data) {
        (self.description, self.error, self.part, self.make) = (description, error, part, make)
    }

    static let all: [CharacterDamage] = [
        CharacterDamage("an empty file", "BundleInvalid", "0 bytes") { Data() },
        CharacterDamage("no character file", "BundleInvalid", "no character file") {
            Data("a text, no character".utf8)
        },
        CharacterDamage("a cut header", "BundleInvalid", "cut") { content.prefix(500) },
        CharacterDamage("a cut file", "ChecksumMismatch", "cut") { content.prefix(200_000) },
        CharacterDamage("one bit", "ChecksumMismatch", "sha256") {
            var bytes = content
            bytes[300_000] ^= 1
            return bytes
        },
        CharacterDamage("a damaged header", "BundleInvalid", "damaged header") {
            var bytes = content
            bytes[8] = 120
            return bytes
        },
        CharacterDamage("another hash", "ChecksumMismatch", "sha256") {
            try changed { header, _ in setMetadata(&header, "sha256", String(repeating: "0", count: 64)) }
        },
        CharacterDamage("a newer format", "BundleInvalid", "onpar.character 2; allowed: onpar.character 1; update") {
            try changed { header, _ in setMetadata(&header, "format_version", "2") }
        },
        CharacterDamage("another safetensors file", "BundleInvalid", "format none none") {
            try changed { header, _ in header["__metadata__"] = [String: String]() }
        },
        CharacterDamage("a missing tensor", "BundleInvalid", "no tensor 'uvs'") {
            try changed { header, _ in header["uvs"] = nil }
        },
        CharacterDamage("a tensor that lies outside", "BundleInvalid", "outside") {
            try changed { header, _ in set(&header, "texture_png", "data_offsets", [0, 1 << 30]) }
        },
        CharacterDamage("a tensor of another shape", "BundleInvalid", "'weights' is F32 [3953, 2]; allowed") {
            try changed { header, _ in set(&header, "weights", "shape", [3953, 2]) }
        },
        CharacterDamage("a joint that is not there", "BundleInvalid", "joints names 99; allowed: 0 to 15") {
            try changed { header, data in data[begin(header, "joints")] = 99 }
        },
        CharacterDamage("a matrix that is no number", "BundleInvalid", "no numbers") {
            try changed { header, data in put(&data, begin(header, "clip.walk.matrices"), .nan) }
        },
        CharacterDamage("a limit that proves nothing", "BundleInvalid", "golden_limit is 10.0") {
            try changed { header, _ in setMetadata(&header, "golden_limit", "10") }
        },
    ]
}

@Suite struct CharacterAnimatorTests {
    private let animator = try! CharacterAnimator.fromFile(golden)

    @Test func goldenPoses() throws {
        let report = try animator.selfTest()
        #expect(report.passed && report.checks.map(\.name) == ["walk: largest distance"])
        #expect(report.checks[0].limit == 1e-5 && report.checks[0].value < 1e-6)
    }

    @Test func poseGivesGoldenVerticesAtAGoldenTime() throws {
        let clip = animator.character.clips[0]
        let size = 3 * animator.character.vertexCount
        for (k, frame) in clip.goldenFrames.enumerated() {
            let wanted = Array(clip.goldenVertices[k * size..<(k + 1) * size])
            #expect(difference(try animator.pose((Double(frame) + 0.5) * 1000 / 30), wanted) <= 1e-6)
            #expect(difference(try animator.pose((Double(frame) + 1.5) * 1000 / 30), wanted) > 1e-4)
        }
    }

    @Test func aChangedMatrixTurnsTheSelfTestRed() throws {
        let frame = animator.character.clips[0].goldenFrames[0]
        let bytes = try changed { header, data in
            let at = begin(header, "clip.walk.matrices") + 4 * (12 * 16 * frame + 3)
            put(&data, at, animator.character.clips[0].matrices[12 * 16 * frame + 3] + 1e-3)
        }
        let report = try CharacterAnimator(CharacterFile(parsing: bytes)).selfTest()
        #expect(!report.passed && report.checks[0].value > 1e-4)
    }

    @Test func theSameFileWrittenAgainStillPasses() throws {
        #expect(try CharacterAnimator(CharacterFile(parsing: changed { _, _ in })).selfTest().passed)
    }

    @Test func whatADrawingNeedsIsThere() throws {
        let character = animator.character
        #expect(character.vertexCount == 3953 && character.faces.count == 3 * 7902 && character.uvs.count == 2 * 3953)
        #expect(character.jointNames.count == 16 && character.clips[0].frames == 41)
        #expect(try Png.picture(character.texturePng).width > 100)
    }

    @Test func timeGoesRound() throws {
        #expect(try [0, 33, 34, 1366, 1367, -1].map { try animator.frameAt($0) } == [0, 0, 1, 40, 0, 40])
        let period = 41_000.0 / 30
        #expect(try animator.pose(500) == animator.pose(500 + 1000 * period))
        #expect(try animator.pose(500) == animator.pose(500 - 3 * period))
    }

    @Test func noTimeNoClip() async throws {
        for time in [Double.nan, .infinity, -.infinity] {
            let found = await refusal { _ = try animator.pose(time) }
            #expect(found.name == "BadInput" && found.message.contains("allowed: a finite number"))
        }
        #expect(await refusal { _ = try animator.poseForVideo(.nan) }.name == "BadInput")
        #expect(await refusal { _ = try animator.pose(0, clip: "fly") }.message.contains("'fly'; allowed: walk"))
        // A refused time does not count as the last one.
        #expect(try animator.poseForVideo(0) != nil)
    }

    @Test func videoModeDropsTimesThatAreNotNewer() throws {
        #expect(try animator.poseForVideo(10) != nil)
        #expect(try animator.poseForVideo(10) == nil)
        #expect(try animator.poseForVideo(5) == nil)
        #expect(try animator.poseForVideo(11) != nil)
    }

    @Test func aFrameFillsTheSameMemoryAndAKeptOneStays() throws {
        func address(_ time: Double) throws -> UnsafeRawPointer? {
            try animator.pose(time).withUnsafeBytes { $0.baseAddress }
        }
        let first = try address(0)
        for i in 1...100 { #expect(try address(Double(i) * 7) == first) }
        let kept = try animator.pose(0)
        let copy = kept.map { $0 }
        #expect(try animator.pose(700) != kept)
        #expect(kept == copy)
    }

    @Test func theExampleOfTheDocumentation() throws {
        #expect(try animate(golden, timeMs: 500) == "3953 vertices, 3953 uvs, 7902 triangles")
    }

    @Test func noFile() async {
        let found = await refusal { _ = try CharacterAnimator.fromFile(root.appendingPathComponent("nothing")) }
        #expect(found.name == "BundleNotFound" && found.message.contains("no character file nothing"))
    }

    @Test(arguments: CharacterDamage.all) func isRefused(_ damage: CharacterDamage) async {
        let found = await refusal { _ = try CharacterFile(parsing: damage.make(), name: "x") }
        #expect(found.name == damage.error && found.message.contains(damage.part), "\(found)")
    }
}

import Foundation

/// Moves a drawing: the vertices of a character file at a time.
///
/// A frame allocates nothing, as long as the array of the last one was let go: the animator fills it again. An array
/// that is kept stays as it is, at the price of a new one.
public final class CharacterAnimator: @unchecked Sendable {
    public let character: CharacterFile
    private let lock = NSLock()
    private var posed: [Float]
    private var lastTimestampMs = -Double.infinity

    public init(_ character: CharacterFile) {
        self.character = character
        posed = [Float](repeating: 0, count: 3 * character.vertexCount)
    }

    /// Open a file that reference.animate wrote.
    public static func fromFile(_ file: URL) throws -> CharacterAnimator {
        guard let content = try? Data(contentsOf: file) else {
            throw OnParError.bundleNotFound(
                "no character file \(file.lastPathComponent); give one that reference.animate wrote")
        }
        return CharacterAnimator(try CharacterFile(parsing: content, name: file.lastPathComponent))
    }

    /// Image mode: the V x 3 vertices at any time; a clip repeats before its begin and after its end.
    ///
    /// - Parameters:
    ///   - timeMs: since the clip's begin.
    ///   - clip: a name of `character.clips`; the first without one.
    public func pose(_ timeMs: Double, clip: String? = nil) throws -> [Float] {
        lock.lock()
        defer { lock.unlock() }
        return try run(timeMs, clip)
    }

    /// Video mode: nil for a time that is not newer than the last, or that comes while another is worked on.
    public func poseForVideo(_ timestampMs: Double, clip: String? = nil) throws -> [Float]? {
        guard lock.try() else { return nil }
        defer { lock.unlock() }
        if timestampMs <= lastTimestampMs { return nil }
        let vertices = try run(timestampMs, clip)
        lastTimestampMs = timestampMs
        return vertices
    }

    /// The frame that a time belongs to.
    public func frameAt(_ timeMs: Double, clip: String? = nil) throws -> Int {
        try frame(character.clips[find(clip)], timeMs)
    }

    /// Poses the golden frames of every clip and compares them with the file's golden vertices.
    public func selfTest() throws -> SelfTestReport {
        let checks = try character.clips.map {
            SelfTestCheck(
                name: "\($0.name): largest distance", value: try goldenError($0), limit: character.goldenLimit,
                largerIsBetter: false)
        }
        return SelfTestReport(bundle: character.name, backend: "CPU", checks: checks)
    }

    private func run(_ timeMs: Double, _ clip: String?) throws -> [Float] {
        let at = try find(clip)
        skin(character.clips[at], try frame(character.clips[at], timeMs), &posed)
        return posed
    }

    private func find(_ name: String?) throws -> Int {
        guard let name else { return 0 }
        if let at = character.clips.firstIndex(where: { $0.name == name }) { return at }
        let allowed = character.clips.map(\.name).joined(separator: ", ")
        throw OnParError.badInput("\(character.name) has no clip '\(name)'; allowed: \(allowed)")
    }

    private func frame(_ clip: CharacterClip, _ timeMs: Double) throws -> Int {
        let frame = (timeMs * clip.frameRate / 1000).rounded(.down)
        guard frame.isFinite else { throw OnParError.badInput("the time is \(timeMs) ms; allowed: a finite number") }
        let rest = Int(frame.truncatingRemainder(dividingBy: Double(clip.frames)))
        return rest < 0 ? rest + clip.frames : rest
    }

    private func goldenError(_ clip: CharacterClip) throws -> Double {
        var out = [Float](repeating: 0, count: 3 * character.vertexCount)
        var worst = 0.0
        for (k, golden) in clip.goldenFrames.enumerated() {
            // By the time in the middle of the frame, as an app asks.
            skin(clip, try frame(clip, (Double(golden) + 0.5) * 1000 / clip.frameRate), &out)
            for i in 0..<out.count {
                let distance = abs(Double(out[i]) - Double(clip.goldenVertices[k * out.count + i]))
                worst = distance.isNaN ? .infinity : max(worst, distance)
            }
        }
        return worst
    }

    /// posed[v] = sum of weight * (matrix * (vertex, 1)) over the four joints of v.
    private func skin(_ clip: CharacterClip, _ frame: Int, _ out: inout [Float]) {
        let first = frame * character.jointNames.count * 12
        let count = character.vertexCount
        out.withUnsafeMutableBufferPointer { out in
            clip.matrices.withUnsafeBufferPointer { m in
                character.vertices.withUnsafeBufferPointer { rest in
                    for v in 0..<count {
                        let (x, y, z) = (rest[3 * v], rest[3 * v + 1], rest[3 * v + 2])
                        var (px, py, pz): (Float, Float, Float) = (0, 0, 0)
                        for i in 4 * v..<4 * v + 4 {
                            let weight = character.weights[i]
                            let at = first + 12 * character.joints[i]
                            px += weight * (m[at] * x + m[at + 1] * y + m[at + 2] * z + m[at + 3])
                            py += weight * (m[at + 4] * x + m[at + 5] * y + m[at + 6] * z + m[at + 7])
                            pz += weight * (m[at + 8] * x + m[at + 9] * y + m[at + 10] * z + m[at + 11])
                        }
                        (out[3 * v], out[3 * v + 1], out[3 * v + 2]) = (px, py, pz)
                    }
                }
            }
        }
    }
}

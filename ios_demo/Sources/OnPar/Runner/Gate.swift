import Foundation

/// Counts calls, so that a video frame can be dropped before it waits for the actor.
final class Gate: @unchecked Sendable {
    private let lock = NSLock()
    private var inside = 0
    private var lastTimestampMs = Int.min

    func enter() { lock.withLock { inside += 1 } }

    func leave() { lock.withLock { inside -= 1 } }

    /// Any time is newer than none.
    func reset() { lock.withLock { lastTimestampMs = Int.min } }

    func tryEnter(_ timestampMs: Int) -> Bool {
        lock.withLock {
            if inside > 0 || timestampMs <= lastTimestampMs { return false }
            inside = 1
            lastTimestampMs = timestampMs
            return true
        }
    }
}

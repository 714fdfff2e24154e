import Foundation

/// Hz, of a point at rest.
private let minCutoff = 0.5
/// Growth of the cutoff in Hz for each size of the face a second.
private let beta = 60.0
/// Hz, of the speed's own filter.
private let speedCutoff = 2.0
/// Sizes a second up to which the face counts as still: noise alone gives that.
private let faceRest = 0.2
/// Likewise of a point beside the face.
private let pointRest = 0.4

/// A face's points so far: x, y, x, y, ... in pixels, smoothed, and their speed in pixels a second.
struct Steady: Sendable {
    let pointsPx: [Float]
    let speed: [Float]
    let timeMs: Int
}

/// Points that stand still where a face does, a One Euro filter over whole faces: reference/pipelines/steady.py.
///
/// Takes in one frame, later than `before`'s; `size` of the face in pixels, at least 1.
func steady(_ before: Steady?, _ pointsPx: [Float], _ timeMs: Int, size: Double) -> Steady {
    guard let before else {
        return Steady(pointsPx: pointsPx, speed: [Float](repeating: 0, count: pointsPx.count), timeMs: timeMs)
    }
    let seconds = Double(timeMs - before.timeMs) / 1000
    let taken = share(speedCutoff, seconds)
    let speed = pointsPx.indices.map { i -> Double in
        let known = Double(before.speed[i])
        let now = (Double(pointsPx[i]) - Double(before.pointsPx[i])) / seconds
        return known + taken * (now - known)
    }
    let count = Double(speed.count / 2)
    let right = stride(from: 0, to: speed.count, by: 2).reduce(0) { $0 + speed[$1] } / count
    let down = stride(from: 1, to: speed.count, by: 2).reduce(0) { $0 + speed[$1] } / count
    let face = max(0, hypot(right, down) / size - faceRest)
    var smoothed = pointsPx
    for i in stride(from: 0, to: speed.count, by: 2) {
        let own = max(0, hypot(speed[i] - right, speed[i + 1] - down) / size - pointRest)
        let part = share(minCutoff + beta * (face + own), seconds)
        for k in i...i + 1 {
            let last = Double(before.pointsPx[k])
            smoothed[k] = Float(last + part * (Double(pointsPx[k]) - last))
        }
    }
    return Steady(pointsPx: smoothed, speed: speed.map { Float($0) }, timeMs: timeMs)
}

/// Share of the new value in a low-pass filter's output, of a cutoff frequency in Hz.
private func share(_ cutoff: Double, _ seconds: Double) -> Double {
    let ratio = 2 * Double.pi * cutoff * seconds
    return ratio / (1 + ratio)
}

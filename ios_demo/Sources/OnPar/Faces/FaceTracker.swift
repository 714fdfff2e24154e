import Dispatch
import Foundation

/// Mean distance of result and template, in outer eye distances; 0.05 is usual on faces.
private let lostDisagreement = 0.25
/// Largest change of a face's side from one frame to the next.
private let lostGrowth = 1.6
/// Largest shift of its centre, in sides.
private let lostShift = 0.6
/// Least correlation of the crop's thumbnail with the one before: networks see a face in a wall, too.
private let lostLikeness = 0.5
/// Side of the thumbnail.
private let thumbnailSide = 16
/// Of a crop, in pixels.
private let smallestCrop = 16.0
/// Overlap from which on a track and a detector's crop show one face.
private let sameFace = 0.3

/// The keypoints of a face that the pipeline found.
public struct DetectedFace: Sendable {
    /// 68 points: x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0).
    public let pointsPx: [Float]
    /// Likewise, from the template alone.
    public let templatePointsPx: [Float]
    /// The crop that the last network saw.
    public let square: Square
    /// Mean distance of the two in outer eye distances; large where there is no face.
    public let disagreement: Double
    /// Grey, of the crop.
    let thumbnail: [Float]
    /// The crop came from the frame before, not from the detector.
    public let tracked: Bool
    var steady: Steady?

    /// With smoothed points; a face that was not followed from the frame before starts anew.
    mutating func steadied(_ timestampMs: Int) -> DetectedFace {
        // On a profile the eyes' distance is nothing; a crop's side never is.
        let eyes = hypot(
            Double(pointsPx[90]) - Double(pointsPx[72]), Double(pointsPx[91]) - Double(pointsPx[73]))
        let now = OnPar.steady(steady, pointsPx, timestampMs, size: max(1, eyes, square.side / 6))
        steady = now
        return DetectedFace(
            pointsPx: now.pointsPx, templatePointsPx: templatePointsPx, square: square, disagreement: disagreement,
            thumbnail: thumbnail, tracked: tracked)
    }
}

/// (1, 3, S, S) RGB in [0, 1] to points and those of the template, in fractions of the crop.
typealias PointNetwork = ([Float]) throws -> (points: [Float], template: [Float])

/// Crops for the first network around the faces of a picture.
typealias FindFaces = (any PixelSource) throws -> [Region]

/// Milliseconds spent before and inside the networks.
final class StageClock {
    private(set) var preMs = 0.0
    private(set) var inferenceMs = 0.0

    func start() { (preMs, inferenceMs) = (0, 0) }

    func pre<T>(_ work: () throws -> T) rethrows -> T {
        let began = DispatchTime.now()
        defer { preMs += milliseconds(began, DispatchTime.now()) }
        return try work()
    }

    func inference<T>(_ work: () throws -> T) rethrows -> T {
        let began = DispatchTime.now()
        defer { inferenceMs += milliseconds(began, DispatchTime.now()) }
        return try work()
    }
}

/// Finds faces and their keypoints in pictures, and follows them through videos: reference/pipelines/faces.py.
final class FaceTracker {
    private let find: FindFaces
    private let first: PointNetwork
    private let second: PointNetwork?
    private let size: Int
    private let most: Int
    private let checkEvery: Int
    private let smooth: Bool
    private let clock: StageClock
    private let regions: PicturePreprocessor
    private let squares: SquareSampler
    private var tracks: [DetectedFace] = []
    private var sinceCheck = 0
    private(set) var detectorRuns = 0

    init(
        find: @escaping FindFaces, first: @escaping PointNetwork, second: PointNetwork?, size: Int, most: Int,
        checkEvery: Int, smooth: Bool = true, clock: StageClock = StageClock()
    ) throws {
        guard most >= 1, checkEvery >= 1 else {
            throw OnParError.badInput("most is \(most), checkEvery \(checkEvery); allowed: 1 or more")
        }
        guard size >= thumbnailSide, size % thumbnailSide == 0 else {
            throw OnParError.badInput(
                "the keypoint network takes \(size) pixels; allowed: a multiple of \(thumbnailSide)")
        }
        (self.find, self.first, self.second, self.clock) = (find, first, second, clock)
        (self.size, self.most, self.checkEvery, self.smooth) = (size, most, checkEvery, smooth)
        regions = PicturePreprocessor(PreprocessSpec(height: size, width: size))
        squares = SquareSampler(size)
    }

    /// Forget the video so far.
    func reset() {
        tracks = []
        (sinceCheck, detectorRuns) = (0, 0)
    }

    /// Every face of a picture, largest first.
    func detect(_ picture: any PixelSource) throws -> [DetectedFace] {
        try findFaces(picture).compactMap { try fromRegion(picture, $0) }
    }

    /// The faces of the next frame, later than the last; the detector runs when a track is lost or a check is due.
    func detectForVideo(_ frame: any PixelSource, timestampMs: Int) throws -> [DetectedFace] {
        var kept: [DetectedFace] = []
        for before in tracks {
            var now = try fromSquare(frame, squareFromPoints(before.pointsPx), tracked: true)
            now.steady = before.steady
            if try holds(now, before, frame) { kept.append(now) }
        }
        sinceCheck += 1
        if kept.isEmpty || kept.count < tracks.count || sinceCheck >= checkEvery {
            kept = try check(frame, kept)
            sinceCheck = 0
        }
        tracks = Array(largestFirst(kept, by: \.square.side).prefix(most))
        return smooth ? tracks.indices.map { tracks[$0].steadied(timestampMs) } : tracks
    }

    /// Let the detector confirm tracks, end others, and add new faces.
    private func check(_ frame: any PixelSource, _ kept: [DetectedFace]) throws -> [DetectedFace] {
        var free = kept
        var confirmed: [DetectedFace] = []
        for region in try findFaces(frame) {
            if let same = free.firstIndex(where: { overlap($0.square, region) > sameFace }) {
                confirmed.append(free.remove(at: same))
            } else if let face = try fromRegion(frame, region) {
                confirmed.append(face)
            }
        }
        return confirmed
    }

    private func findFaces(_ picture: any PixelSource) throws -> [Region] {
        detectorRuns += 1
        let largest = largestSideOfPicture * longest(picture)
        let regions = try find(picture).filter { $0.width > 0 && $0.width <= largest }
        return Array(largestFirst(regions, by: \.width).prefix(most))
    }

    /// Nil where the points are no face's.
    private func fromRegion(_ picture: any PixelSource, _ region: Region) throws -> DetectedFace? {
        clock.pre { regions.sample(picture, region) }
        // The detector's square is rough: the network looks again through its own.
        let square = try squareFromPoints(toPicture(first(regions.tensor).points, region))
        guard square.fits(longest(picture)) else { return nil }
        let face = try fromSquare(picture, square, tracked: false)
        return try squareFromPoints(face.pointsPx).fits(longest(picture)) ? face : nil
    }

    private func fromSquare(_ picture: any PixelSource, _ chosen: Square, tracked: Bool) throws -> DetectedFace {
        let square = Square(x: chosen.x, y: chosen.y, side: max(chosen.side, smallestCrop), angle: chosen.angle)
        try clock.pre { try squares.sample(picture, square) }
        let answer = try (second ?? first)(squares.tensor)
        let (points, template) = (square.toPicture(answer.points), square.toPicture(answer.template))
        return DetectedFace(
            pointsPx: points, templatePointsPx: template, square: square,
            disagreement: disagreementOf(points, template), thumbnail: thumbnailOf(squares.tensor, size),
            tracked: tracked)
    }

    /// Whether a track still follows the face that it followed.
    private func holds(_ now: DetectedFace, _ before: DetectedFace, _ frame: any PixelSource) throws -> Bool {
        let (new, old) = (try squareFromPoints(now.pointsPx), try squareFromPoints(before.pointsPx))
        let growth = new.side / max(old.side, 1e-6)
        let moved = hypot(new.x - old.x, new.y - old.y) / max(old.side, 1e-6)
        let inside =
            new.x >= -0.5 && new.x < Double(frame.width) && new.y >= -0.5 && new.y < Double(frame.height)
        let steady = growth > 1 / lostGrowth && growth < lostGrowth && moved < lostShift
        let sized = new.side >= smallestCrop && new.fits(longest(frame))
        let alike = likeness(now.thumbnail, before.thumbnail) >= lostLikeness
        return inside && steady && sized && alike && now.disagreement < lostDisagreement
    }

    private func longest(_ picture: any PixelSource) -> Double { Double(max(picture.width, picture.height)) }
}

/// Equal ones keep their order.
func largestFirst<T>(_ values: [T], by size: (T) -> Double) -> [T] {
    values.indices.sorted { (size(values[$0]), $1) > (size(values[$1]), $0) }.map { values[$0] }
}

private func disagreementOf(_ points: [Float], _ template: [Float]) -> Double {
    func distance(_ a: [Float], _ i: Int, _ b: [Float], _ j: Int) -> Double {
        hypot(Double(a[2 * i]) - Double(b[2 * j]), Double(a[2 * i + 1]) - Double(b[2 * j + 1]))
    }
    let total = (0..<facePoints).reduce(0) { $0 + distance(points, $1, template, $1) }
    return total / Double(facePoints) / max(1e-6, distance(template, 45, template, 36))
}

/// Grey means of the blocks of a (1, 3, S, S) crop, S a multiple of 16.
private func thumbnailOf(_ crop: [Float], _ size: Int) -> [Float] {
    let block = size / thumbnailSide
    var sums = [Float](repeating: 0, count: thumbnailSide * thumbnailSide)
    sums.withUnsafeMutableBufferPointer { sums in
        crop.withUnsafeBufferPointer { crop in
            for y in 0..<3 * size {
                let to = y % size / block * thumbnailSide
                for x in 0..<size { sums[to + x / block] += crop[y * size + x] }
            }
            for i in sums.indices { sums[i] /= Float(3 * block * block) }
        }
    }
    return sums
}

/// Correlation of two thumbnails in [-1, 1]; 0 where one of them is flat.
private func likeness(_ a: [Float], _ b: [Float]) -> Double {
    let meanA = a.reduce(0) { $0 + Double($1) } / Double(a.count)
    let meanB = b.reduce(0) { $0 + Double($1) } / Double(b.count)
    var (both, squaresA, squaresB) = (0.0, 0.0, 0.0)
    for i in a.indices {
        let (x, y) = (Double(a[i]) - meanA, Double(b[i]) - meanB)
        (both, squaresA, squaresB) = (both + x * y, squaresA + x * x, squaresB + y * y)
    }
    let length = (squaresA * squaresB).squareRoot()
    return length > 1e-6 ? both / length : 0
}

/// Intersection over union of a square, its turn left out, and a region.
private func overlap(_ square: Square, _ region: Region) -> Double {
    let (left, top) = (square.x + 0.5 - square.side / 2, square.y + 0.5 - square.side / 2)
    let width = min(left + square.side, region.left + region.width) - max(left, region.left)
    let height = min(top + square.side, region.top + region.height) - max(top, region.top)
    let common = max(0, width) * max(0, height)
    return common / (square.side * square.side + region.width * region.height - common)
}

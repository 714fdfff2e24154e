/// What a judge tells apart, in the order of its logits.
private let judged = ["face", "background"]

/// Score of the detector from which on no judge is asked.
private let sure: Float = 0.8

/// The second network of the detector's cascade: reference/pipelines/faces.py, refine.
final class FaceJudge {
    private let clock: StageClock
    private let crop: PicturePreprocessor
    private let threshold: Float
    private let logits: ([Float]) throws -> [Float]
    /// A box of a lower score can't reach the threshold, whatever the judge says, and is not looked at.
    let lowest: Float

    /// - Parameters:
    ///   - size: side of the square that it sees, in pixels.
    ///   - logits: from the tensor of a square to logits of face and background.
    init(size: Int, threshold: Float, clock: StageClock, logits: @escaping ([Float]) throws -> [Float]) {
        crop = PicturePreprocessor(PreprocessSpec(height: size, width: size))
        lowest = threshold * threshold
        (self.threshold, self.clock, self.logits) = (threshold, clock, logits)
    }

    convenience init(_ bundle: Bundle, _ runner: any Runner, _ clock: StageClock) throws {
        let threshold = try thresholdOf(bundle.manifest)
        self.init(size: try bundle.manifest.preprocess.width, threshold: threshold, clock: clock) {
            try output(try runner.run($0), "logits")
        }
    }

    /// The boxes of which the geometric mean of the detector's and the judge's score reaches the threshold, the surest
    /// first.
    func refine(_ found: [FaceBox], _ picture: any PixelSource) throws -> [FaceBox] {
        let boxes = try found.filter { $0.score >= lowest }.map { box in
            let score = (box.score * (box.score < sure ? try judge(box, picture) : 1)).squareRoot()
            return FaceBox(x0: box.x0, y0: box.y0, x1: box.x1, y1: box.y1, score: score, pointsPx: box.pointsPx)
        }
        return largestFirst(boxes.filter { $0.score >= threshold }, by: { Double($0.score) })
    }

    private func judge(_ box: FaceBox, _ picture: any PixelSource) throws -> Float {
        try clock.pre { try crop.sample(picture, squareOfBox(box.x0, box.y0, box.x1, box.y1)) }
        return softmax(try clock.inference { try logits(crop.tensor) })[0]
    }
}

func demandJudge(_ bundle: Bundle) throws {
    guard bundle.manifest.labels == judged else {
        throw OnParError.badInput(
            "\(bundle.name) does not tell \(judged.joined(separator: " from ")); give the detector's second network")
    }
}

/// The detector's boxes around the faces of a picture, judged where there is a judge.
func boxFinder(_ detector: Bundle, _ runner: any Runner, _ clock: StageClock, _ judge: FaceJudge?) throws
    -> (any PixelSource) throws -> [FaceBox]
{
    let whole = PicturePreprocessor(try detector.manifest.preprocess)
    let lowest = try judge?.lowest ?? thresholdOf(detector.manifest)
    return { picture in
        let region = try clock.pre { try whole.run(picture) }
        let outputs = try clock.inference { try runner.run(whole.tensor) }
        let found = findFaces(try output(outputs, "faces"), region, threshold: lowest)
        return try judge?.refine(found, picture) ?? found
    }
}

/// The squares around them that a network for faces sees first.
func faceFinder(_ detector: Bundle, _ runner: any Runner, _ clock: StageClock, _ judge: FaceJudge? = nil) throws
    -> FindFaces
{
    let boxes = try boxFinder(detector, runner, clock, judge)
    return { picture in try boxes(picture).map { squareOfBox($0.x0, $0.y0, $0.x1, $0.y1) } }
}

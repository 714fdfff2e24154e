/// Points on a face: x, y, x, y, ... in picture pixels, the centre of the first pixel at (0, 0).
public struct Keypoints: Sendable {
    public let pointsPx: [Float]
    /// Likewise, from the template alone; the same points where the network has no template.
    public let templatePointsPx: [Float]
    public let region: Region
}

/// 68 points of the face in a box; without a box, of the face that fills the picture.
public typealias FaceKeypointDetector = Detector<any PixelSource, Keypoints>

extension Detector where Input == any PixelSource, Value == Keypoints {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> FaceKeypointDetector {
        try openTask(bundle, "Keypoints", runner, toKeypoints)
    }

    /// All faces without a box: a face detector, a keypoint network and, where there is one, the network that refines
    /// its points.
    ///
    /// - Parameters:
    ///   - most: faces to find or follow, the largest first.
    ///   - checkEvery: frames of a video after which the detector looks again.
    ///   - smooth: steady the points of videos, so that a still face's stand still; what is tracked stays as it is.
    ///   - detectorRefined: the second network of the detector's cascade, which judges its boxes.
    public static func fromBundles(
        detector: Bundle, keypoints: Bundle, refined: Bundle? = nil, runner: RunnerFactory, most: Int = 8,
        checkEvery: Int = 30, smooth: Bool = true, detectorRefined: Bundle? = nil
    ) throws -> FaceKeypointPipeline {
        try FaceKeypointPipeline(
            detector: detector, keypoints: keypoints, refined: refined, judge: detectorRefined, runner: runner,
            most: most, checkEvery: checkEvery, smooth: smooth)
    }
}

func toKeypoints(_ outputs: Tensors, _ context: Context) throws -> Keypoints {
    let names = context.manifest.modelFiles[0].outputs.map(\.name)
    let points = toPicture(try output(outputs, names[0]), context.region)
    let template = names.count > 1 ? toPicture(try output(outputs, names[1]), context.region) : points
    return Keypoints(pointsPx: points, templatePointsPx: template, region: context.region)
}

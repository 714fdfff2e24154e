/// What a picture shows.
public typealias ImageClassifier = Detector<any PixelSource, Classification>
/// Box, score and five points of every face.
public typealias FaceDetector = Detector<any PixelSource, FaceBoxes>
/// 68 points of the face in a box; without a box, of the face that fills the picture.
public typealias FaceKeypointDetector = Detector<any PixelSource, Keypoints>
/// Which pixels belong to the salient object.
public typealias SaliencySegmenter = Detector<any PixelSource, Mask>
/// A solid from one depth map.
public typealias DepthVoxelizer = Detector<DepthMap, VoxelGrid>
/// A mesh of the face in a box; without a box, of the face that fills the picture.
public typealias FaceReconstructor = Detector<any PixelSource, FaceMesh>

extension Detector where Input == any PixelSource, Value == Classification {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> ImageClassifier {
        try open(bundle, "Classification", runner, toClassification)
    }
}

extension Detector where Input == any PixelSource, Value == FaceBoxes {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> FaceDetector {
        try open(bundle, "FaceBoxes", runner, toFaceBoxes)
    }

    /// With the second network of the detector's cascade, which judges its boxes: more small faces, fewer that are none.
    public static func fromBundles(detector: Bundle, refined: Bundle, runner: RunnerFactory) throws -> FaceBoxPipeline
    {
        try FaceBoxPipeline(detector: detector, judge: refined, runner: runner)
    }
}

extension Detector where Input == any PixelSource, Value == Keypoints {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> FaceKeypointDetector {
        try open(bundle, "Keypoints", runner, toKeypoints)
    }

    /// All faces without a box: a face detector, a keypoint network and, where there is one, the network that refines
    /// its points.
    ///
    /// - Parameters:
    ///   - most: faces to find or follow, the largest first.
    ///   - checkEvery: frames of a video after which the detector looks again.
    ///   - detectorRefined: the second network of the detector's cascade, which judges its boxes.
    public static func fromBundles(
        detector: Bundle, keypoints: Bundle, refined: Bundle? = nil, runner: RunnerFactory, most: Int = 8,
        checkEvery: Int = 30, detectorRefined: Bundle? = nil
    ) throws -> FaceKeypointPipeline {
        try FaceKeypointPipeline(
            detector: detector, keypoints: keypoints, refined: refined, judge: detectorRefined, runner: runner,
            most: most, checkEvery: checkEvery)
    }
}

extension Detector where Input == any PixelSource, Value == Mask {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> SaliencySegmenter {
        let scaler = MaskScaler()
        return try open(bundle, "Mask", runner) { try toMask($0, $1, scaler) }
    }
}

extension Detector where Input == DepthMap, Value == VoxelGrid {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> DepthVoxelizer {
        try demand("VoxelGrid", of: bundle)
        return DepthVoxelizer(
            bundle, try runner(bundle), DepthPreprocessor(bundle.manifest.preprocess), toVoxelGrid)
    }
}

extension Detector where Input == any PixelSource, Value == FaceMesh {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> FaceReconstructor {
        try demand("FaceMesh", of: bundle)
        let topology = try FaceTopology(of: bundle)
        return try open(bundle, "FaceMesh", runner) { try toFaceMesh($0, $1, topology) }
    }

    /// All faces without a box: a face detector finds them.
    ///
    /// - Parameters:
    ///   - most: faces, the largest first.
    ///   - detectorRefined: the second network of the detector's cascade, which judges its boxes.
    public static func fromBundles(
        detector: Bundle, face3d: Bundle, runner: RunnerFactory, most: Int = 8, detectorRefined: Bundle? = nil
    ) throws -> FaceMeshPipeline {
        try FaceMeshPipeline(
            detector: detector, face3d: face3d, judge: detectorRefined, runner: runner, most: most)
    }
}

private func open<Value>(
    _ bundle: Bundle, _ result: String, _ runner: RunnerFactory,
    _ decode: @escaping @Sendable (Tensors, Context) throws -> Value
) throws -> Detector<any PixelSource, Value> {
    try demand(result, of: bundle)
    return Detector(bundle, try runner(bundle), PicturePreprocessor(bundle.manifest.preprocess), decode)
}

func demand(_ result: String, of bundle: Bundle) throws {
    let given = bundle.manifest.postprocess.result
    if given != result {
        throw OnParError.badInput("\(bundle.name) gives \(given); this class needs a bundle that gives \(result)")
    }
}

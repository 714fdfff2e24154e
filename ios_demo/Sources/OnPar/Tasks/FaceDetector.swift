/// Box, score and five points of every face.
public typealias FaceDetector = Detector<any PixelSource, FaceBoxes>

extension Detector where Input == any PixelSource, Value == FaceBoxes {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> FaceDetector {
        try openTask(bundle, "FaceBoxes", runner, toFaceBoxes)
    }

    /// With the second network of the detector's cascade, which judges its boxes: more small faces, fewer that are none.
    public static func fromBundles(detector: Bundle, refined: Bundle, runner: RunnerFactory) throws -> FaceBoxPipeline
    {
        try FaceBoxPipeline(detector: detector, judge: refined, runner: runner)
    }
}

/// A mesh of the face in a box; without a box, of the face that fills the picture.
public typealias FaceReconstructor = Detector<any PixelSource, FaceMesh>

extension Detector where Input == any PixelSource, Value == FaceMesh {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> FaceReconstructor {
        try demand("FaceMesh", of: bundle)
        let topology = try FaceTopology(of: bundle)
        return try openTask(bundle, "FaceMesh", runner) { try toFaceMesh($0, $1, topology) }
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

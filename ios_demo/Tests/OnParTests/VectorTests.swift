import Foundation
import Testing

@testable import OnPar

private let limit = 5e-5

@Suite struct VectorTests {
    @Test(arguments: Case.all("pictures")) func picture(_ c: Case) throws {
        let preprocessor = PicturePreprocessor(c.spec)
        let region = try preprocessor.run(c.picture(), box: c.box)
        #expect(difference(preprocessor.tensor, c.floats("tensor")) <= limit)
        #expect(difference(region, c.region) <= 1e-9)
    }

    @Test(arguments: Case.all("frames")) func frame(_ c: Case) throws {
        let (stored, rgb) = (try c.frame(orientation: 1), c.bytes("rgb"))
        var row = [Float](repeating: 0, count: 3 * stored.width)
        var wrong = 0
        for y in 0..<stored.height {
            stored.readRow(y, first: 0, count: stored.width, into: &row)
            for x in 0..<stored.width {
                for k in 0..<3 where row[k * stored.width + x] != Float(rgb[(y * stored.width + x) * 3 + k]) {
                    wrong += 1
                }
            }
        }
        #expect(wrong == 0)
        let preprocessor = PicturePreprocessor(c.spec)
        _ = try preprocessor.run(c.frame())
        #expect(difference(preprocessor.tensor, c.floats("tensor")) <= limit)
    }

    @Test(arguments: Case.all("depths")) func depth(_ c: Case) throws {
        let preprocessor = DepthPreprocessor(c.spec)
        let region = try preprocessor.run(c.depth(), box: c.box)
        #expect(difference(preprocessor.tensor, c.floats("tensor")) <= 1e-6)
        #expect(difference(region, c.region) <= 1e-9)
    }

    @Test func onePreprocessorForManyPictures() throws {
        let turned = Case.all("pictures").filter { $0.description.hasPrefix("orientation") }
        let preprocessor = PicturePreprocessor(turned[0].spec)
        for c in turned + turned {
            _ = try preprocessor.run(c.picture())
            #expect(difference(preprocessor.tensor, c.floats("tensor")) <= limit)
        }
    }

    @Test func transparencyIsLaidOverWhite() throws {
        let picture = try Picture(width: 8, height: 8, bytes: (0..<256).map { $0 % 4 == 3 ? 0 : 77 })
        var row = [Float](repeating: 0, count: 24)
        picture.readRow(0, first: 0, count: 8, into: &row)
        #expect(row.allSatisfy { $0 == 255 })
    }

    @Test(arguments: Case.all("bad_pictures")) func badPicture(_ c: Case) async {
        let found = await refusal { _ = try PicturePreprocessor(c.spec).run(c.picture(), box: c.box) }
        #expect(found.name == "BadInput" && !found.message.contains("\n"))
    }

    @Test(arguments: Case.all("bad_frames")) func badFrame(_ c: Case) async {
        #expect(await refusal { _ = try c.frame() }.name == "BadInput")
    }

    @Test(arguments: Case.all("bad_depths")) func badDepth(_ c: Case) async {
        #expect(await refusal { _ = try DepthPreprocessor(c.spec).run(c.depth(), box: c.box) }.name == "BadInput")
    }

    @Test(arguments: Case.all("metrics")) func metric(_ c: Case) throws {
        let found = try Metric.named(c.text("metric")).compute(
            c.floats("actual").map(Double.init), c.floats("expected").map(Double.init),
            shape: c.doubles("shape")!.map { Int($0) })
        let expected = (c.json["value"] as! NSNumber).doubleValue
        #expect(abs((found.isInfinite ? 1e300 : found) - expected) <= 1e-6 * max(1, abs(expected)))
    }

    @Test(arguments: Case.all("signatures")) func signature(_ c: Case) async {
        var outcome = ""
        let error = await refusal {
            outcome = try verifySignature(
                manifest: Data(c.bytes("manifest")), signature: Data(c.bytes("signature")),
                trustedKey: c.json["trusted_key"] as? String
            ).rawValue
        }
        #expect((outcome.isEmpty ? error.name : outcome) == c.text("outcome"))
    }

    @Test(arguments: Case.all("results")) func result(_ c: Case) throws {
        let tensors = (c.json["outputs"] as! [[String: Any]]).map(Case.init)
        let outputs = Dictionary(uniqueKeysWithValues: tensors.map { ($0.text("name"), $0.floats("values")) })
        let context = Context(
            manifest: manifest(c, tensors), region: c.region, pictureWidth: c.int("width"),
            pictureHeight: c.int("height"))
        let expected = c.object("expected")
        switch c.result {
        case "Classification":
            let found = try toClassification(outputs, context)
            #expect(found.known == expected.json["known"] as! Bool)
            let scores = expected.object("scores")
            for score in found.scores {
                #expect(abs((scores.json[score.label] as! NSNumber).floatValue - score.probability) <= 1e-6)
            }
            // The tie in the vectors: equal scores keep the order of the labels.
            #expect(found.scores.prefix(2).map(\.label) == ["b", "d"])
        case "Keypoints":
            let found = try toKeypoints(outputs, context)
            #expect(difference(found.pointsPx, expected.floats("points_px")) <= 1e-4)
            #expect(difference(found.templatePointsPx, expected.floats("template_points_px")) <= 1e-4)
        case "FaceBoxes":
            let faces = try toFaceBoxes(outputs, context).faces
            let boxes = faces.flatMap { [$0.x0, $0.y0, $0.x1, $0.y1].map { Float($0) } }
            #expect(difference(boxes, expected.floats("boxes_px")) <= 1e-4)
            #expect(difference(faces.map(\.score), expected.floats("scores")) <= 1e-6)
            #expect(difference(faces.flatMap(\.pointsPx), expected.floats("points_px")) <= 1e-4)
        case "VoxelGrid":
            let found = try toVoxelGrid(outputs, context)
            #expect(found.size == expected.int("size"))
            #expect(found.filledVoxels == expected.int("filled_voxels"))
        case "Detections":
            let objects = try toDetectedObjects(outputs, context).objects
            #expect(objects.map(\.label) == expected.json["labels"] as! [String])
            let boxes = objects.flatMap { [$0.x0, $0.y0, $0.x1, $0.y1].map { Float($0) } }
            #expect(difference(boxes, expected.floats("boxes_px")) <= 1e-4)
            #expect(difference(objects.map(\.score), expected.floats("scores")) <= 1e-6)
        case "Segmentation":
            let found = try toSegmentation(outputs, context)
            let shares = expected.object("shares").json
            #expect(Set(found.shares.map(\.label)) == Set(shares.keys))
            for (label, share) in found.shares { #expect(abs((shares[label] as! NSNumber).doubleValue - share) < 1e-9) }
            #expect(zip(found.shares, found.shares.dropFirst()).allSatisfy { $0.share >= $1.share })
            #expect(found.inPicture(width: c.int("width"), height: c.int("height")) == expected.ints("classes"))
        case "Depth":
            let found = try toEstimatedDepth(outputs, context)
            #expect(found.unit == expected.text("unit"))
            let laid = found.inPicture(width: c.int("width"), height: c.int("height"))
            let wanted = expected.floats("values")
            #expect(laid.count == wanted.count)
            #expect(zip(laid, wanted).allSatisfy { $1.isNaN ? $0.isNaN : abs($0 - $1) <= 1e-5 })
            #expect(difference(found.nearness, expected.floats("nearness")) <= 1e-6)
        case "Points":
            let found = try toPoints(outputs, context)
            #expect(difference(found.pointsPx, expected.floats("points_px")) <= 1e-4)
            #expect(difference(found.scores, expected.floats("scores")) <= 1e-6)
            #expect(found.labels == expected.json["labels"] as! [String])
        case "Embedding":
            let found = try toEmbedding(outputs, context)
            #expect(found.vector == expected.floats("vector"))
            let similarity = found.similarity(Embedding(vector: found.vector.reversed()))
            #expect(abs(similarity - (expected.json["similarity"] as! NSNumber).doubleValue) <= 1e-6)
        case "NewPicture":
            let found = try toNewPicture(outputs, context)
            #expect(found.width == expected.int("width") && found.height == expected.int("height"))
            #expect(found.rgb == [UInt8](expected.bytes("rgb")))
        default:
            #expect(difference(try toMask(outputs, context).values, expected.floats("values")) <= 1e-5)
        }
    }

    private func manifest(_ c: Case, _ tensors: [Case]) -> Manifest {
        let entries = tensors.map {
            TensorEntry(
                name: $0.text("name"), shape: $0.doubles("shape")!.map { Int($0) }, dtype: DType(rawValue: $0.text("dtype"))!,
                unit: $0.text("unit"))
        }
        let size = c.doubles("size")!.map { Int($0) }
        let file = ModelFile(
            file: "", runtime: "litert", precision: "fp32", minimumRuntime: "", executedHereBy: "litert", inputs: [],
            outputs: entries)
        let threshold = (c.object("postprocess").json["threshold"] as? NSNumber)?.floatValue
        return Manifest(
            id: "vector", model: "", task: "", description: "", labels: c.json["labels"] as! [String],
            sampling: PreprocessSpec(height: size[0], width: size[1]),
            postprocess: PostprocessSpec(result: c.result, threshold: threshold), modelFiles: [file], golden: [],
            limits: [], files: [], weightsLicense: "")
    }
}

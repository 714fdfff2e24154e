import Foundation
import OnParLiteRT
import Testing

@testable import OnPar

/// Networks with several inputs, through LiteRT's C API. Their results are compared in RealModelTests.
@Suite struct TensorModelTests {
    private let twin: OnPar.Bundle
    private let fitting: NamedValues = ["features": .float(Array(repeating: 0, count: 16)), "words": .int64([5])]

    init() throws { twin = try Bundle(bundleFolder("foreign_twin")) }

    private func refused(_ inputs: NamedValues) async throws -> String {
        let model = try TensorModel.fromBundle(twin, runner: liteRTRunner)
        let found = await refusal { _ = try await model.run(inputs) }
        #expect(found.name == "BadInput" && !found.message.contains("\n"))
        return found.message
    }

    @Test func saysWhatItTakesAndGives() throws {
        let model = try TensorModel.fromBundle(twin, runner: liteRTRunner)
        func told(_ tensors: [TensorEntry]) -> [String] { tensors.map { "\($0.name) \($0.dtype.rawValue) \($0.shape)" } }
        #expect(told(model.inputs) == ["features float32 [1, 16]", "words int64 [1, 1]"])
        #expect(Set(told(model.outputs)) == ["best int64 [1]", "scores float32 [1, 4]"])
    }

    @Test func answersEveryCall() async throws {
        let model = try TensorModel.fromBundle(twin, runner: liteRTRunner)
        let inputs = try twin.manifest.golden.map { try GoldenSelfTest.inputs(twin, $0) }
        let (first, second) = (try await model.run(inputs[0]), try await model.run(inputs[1]))
        #expect(difference(first.value["scores"]!.floats, second.value["scores"]!.floats) > 1e-3)
        #expect(first.timings.inferenceMs > 0 && first.backend == "LiteRT CPU")
    }

    @Test func inputsThatDoNotFitAreRefused() async throws {
        var given = fitting
        given["words"] = nil
        #expect(try await refused(given).contains("'words' is missing; needed: int64, 1 values, int64 [1, 1]"))
        given["words"] = .int32([5])
        #expect(try await refused(given).contains("'words' is int32, 1 values; needed: int64"))
        given["words"] = .int64([1 << 40])
        #expect(try await refused(given).contains("1099511627776; the artifact takes 32 bits"))
        given = fitting
        given["more"] = .float([0])
        #expect(try await refused(given).contains("'more'; allowed: features, words"))
        given = fitting
        given["features"] = .float([0])
        #expect(try await refused(given).contains("float, 1 values; needed: float, 16 values"))
    }

    @Test func everyTypeGoesInAndComesOut() async throws {
        let model = try TensorModel.fromBundle(Bundle(bundleFolder("foreign_types")), runner: liteRTRunner)
        let types = Dictionary(uniqueKeysWithValues: model.inputs.map { ($0.name, $0.dtype) })
        #expect(types == ["half": .float16, "whole": .int32, "byte": .uint8, "flag": .bool])
        let found = try await model.run([
            "half": .float([0.5, 1, 1.5, 2, 2.5, -3]), "whole": .int32([1, 2, 3, -4, 5, 6]),
            "byte": .uint8([200, 2, 3, 4, 5, 6]), "flag": .bool([true, false, true, false, true, false]),
        ]).value
        #expect(found["half_out"] == .float([201.5, 3, 7.5, -2, 12.5, 3]))
        #expect(found["whole_out"] == .int32([3, 6, 9, -12, 15, 18]))
        #expect(found["byte_out"] == .uint8([100, 1, 1, 2, 2, 3]))
        #expect(found["flag_out"] == .bool([true, false, true, false, true, false]))
    }

    @Test func aPictureCountsAsATensor() async throws {
        let model = try TensorModel.fromBundle(Bundle(bundleFolder("classifier")), runner: liteRTRunner)
        let image = [Float](repeating: 0, count: model.inputs[0].size)
        let found = try await model.run(["image": .float(image)]).value
        #expect(found[model.outputs[0].name]!.floats.allSatisfy { $0.isFinite })
    }

    @Test func closedForGoodAndNoTasks() async throws {
        let model = try TensorModel.fromBundle(twin, runner: liteRTRunner)
        await model.close()
        await model.close()
        #expect(await refusal { _ = try await model.run(fitting) }.message.contains("closed"))
        let task = await refusal { _ = try ImageClassifier.fromBundle(twin, runner: liteRTRunner) }
        #expect(task.name == "BadInput" && task.message.contains("gives RawTensors; this class needs"))
        #expect(await refusal { _ = try twin.manifest.preprocess }.message.contains("TensorModel"))
        let runner = try LiteRTRunner(twin, library: liteRT)
        #expect(await refusal { _ = try runner.run([0]) }.message.contains("open it with TensorModel"))
    }

    @Test func anArtifactOfOtherTypesIsRefusedByRunnersForFloats() async throws {
        let found = await refusal { try demandFloats(twin.artifact("litert")!, "ExecuTorch") }
        #expect(found.name == "BackendUnavailable" && found.message.contains("'words' int32"))
        #expect(await refusal { try demandFloats(Bundle(bundleFolder("classifier")).artifact("litert")!, "x") }.name == "no error")
    }

    @Test func theExamplesOfTheDocumentation() async throws {
        let told = try await runTensors(twin, Array(repeating: 0, count: 16), runner: liteRTRunner)
        #expect(told.hasSuffix("give 4 scores") && told.contains("words int64"))
        let detector = try Bundle(bundleFolder("foreign_detector"))
        let picture = try Png.picture(detector.file(detector.manifest.golden[0].raw))
        let objects = try await findObjects(detector, picture, runner: liteRTRunner)
        #expect(objects.first?.contains(" %, from x ") == true)
    }

    @Test func itIsTimedLikeTheOthers() throws {
        let record = try BenchmarkRecord.measure(
            twin, rounds: 3, device: Device(name: "this PC", kind: "host", os: "Linux"), runtime: "litert",
            runtimeVersion: "2.3.0", delegate: "XNNPACK", runner: liteRTRunner)
        #expect(record.samplesMs.count == 3)
    }
}

@Suite struct ValuesTests {
    @Test(arguments: [
        (0x0000, 0), (0x0001, 5.9604645e-8), (0x03ff, 6.097555e-5), (0x0400, 6.1035156e-5), (0x3555, 0.33325195),
        (0x3c00, 1), (0x7bff, 65504), (0xc000, -2), (0x7c00, .infinity), (0xfc00, -.infinity),
    ] as [(UInt16, Float)])
    func halves(_ bits: UInt16, _ value: Float) throws {
        #expect(floatOfHalf(bits) == value)
        #expect(try half(of: value, "x") == bits)
    }

    @Test func everyHalfComesBackAndWhatLiesBetweenGoesToTheNearerOne() async throws {
        for bits in UInt16(0)..<0x7c00 { #expect(try half(of: floatOfHalf(bits), "x") == bits) }
        // 2049 lies in the middle between 2048 and 2050, 2051 between 2050 and 2052: the even ones.
        #expect(try [2049, 2051, 65519].map { floatOfHalf(try half(of: $0, "x")) } == [2048, 2052, 65504])
        #expect(floatOfHalf(try half(of: .nan, "x")).isNaN)
        #expect(await refusal { _ = try half(of: 65520, "x") }.message.contains("65504"))
    }

    @Test func wholeNumbersAsInt32AndBack() throws {
        for (values, dtype) in [
            (.int64([-3, 4]), .int64), (.uint8([0, 255]), .uint8), (.bool([true, false]), .bool), (.int32([7]), .int32),
        ] as [(TensorValues, DType)] {
            let held = TensorValues(bytes: Data(try values.encoded(as: .int32, "x")), .int32)
            #expect(held.widened(to: dtype) == values)
            #expect(TensorValues(bytes: Data(try values.encoded(as: dtype, "x")), dtype) == values)
        }
    }
}

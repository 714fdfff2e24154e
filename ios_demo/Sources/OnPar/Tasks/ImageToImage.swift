/// The picture that a network makes.
public struct NewPicture: Sendable {
    /// Three bytes a pixel, row by row, as `Picture` takes them.
    public let rgb: [UInt8]
    public let width: Int
    public let height: Int
    /// The part of the input picture that it was made of.
    public let region: Region
}

/// Another picture of one: styled, cleaned, enlarged.
public typealias ImageToImage = Detector<any PixelSource, NewPicture>

extension Detector where Input == any PixelSource, Value == NewPicture {
    public static func fromBundle(_ bundle: Bundle, runner: RunnerFactory) throws -> ImageToImage {
        try openTask(bundle, "NewPicture", runner, toNewPicture)
    }
}

/// Darkest and lightest value of each unit.
private let ranges: KeyValuePairs<String, (Float, Float)> = [
    "zero_to_one": (0, 1), "minus_one_to_one": (-1, 1), "zero_to_255": (0, 255),
]

/// The output as 8-bit RGB, values beyond its range cut off: reference/tasks/image_to_image.py.
func toNewPicture(_ outputs: Tensors, _ context: Context) throws -> NewPicture {
    let tensor = try entry(context.manifest, 0)
    guard let (low, high) = ranges.first(where: { $0.key == tensor.unit })?.value else {
        let allowed = ranges.map(\.key).joined(separator: ", ")
        throw OnParError.badInput("unit of \(tensor.name) is \(tensor.unit); allowed: \(allowed)")
    }
    let sides = Array(tensor.shape.suffix(3))
    let (channels, height, width) = (sides[0], sides[1], sides[2])
    let values = try output(outputs, tensor.name)
    var rgb = [UInt8](repeating: 0, count: 3 * width * height)
    for i in 0..<width * height {
        for c in 0..<3 {
            let share = (values[min(c, channels - 1) * width * height + i] - low) / (high - low)
            rgb[3 * i + c] = UInt8(min(max(share, 0), 1) * 255 + 0.5)
        }
    }
    return NewPicture(rgb: rgb, width: width, height: height, region: context.region)
}

import OnPar
import PhotosUI
import SwiftUI

/// A result over a picture that is shown whole and centred.
struct ResultOverlay: View {
    let shown: Shown
    let size: CGSize

    var body: some View {
        ZStack(alignment: .bottom) {
            Canvas { context, area in
                let scale = min(area.width / size.width, area.height / size.height)
                let corner = CGPoint(
                    x: (area.width - size.width * scale) / 2, y: (area.height - size.height * scale) / 2)
                func place(_ values: [Float], _ i: Int) -> CGPoint {
                    CGPoint(
                        x: corner.x + (CGFloat(values[i]) + 0.5) * scale,
                        y: corner.y + (CGFloat(values[i + 1]) + 0.5) * scale)
                }
                if let dimmed = shown.mask.flatMap(dim) {
                    let whole = CGSize(width: size.width * scale, height: size.height * scale)
                    context.draw(Image(decorative: dimmed, scale: 1), in: CGRect(origin: corner, size: whole))
                }
                var lines = Path()
                for i in stride(from: 0, to: shown.linesPx.count, by: 4) {
                    lines.move(to: place(shown.linesPx, i))
                    lines.addLine(to: place(shown.linesPx, i + 2))
                }
                context.stroke(lines, with: .color(.mint.opacity(0.6)), lineWidth: 0.5)
                for i in stride(from: 0, to: shown.pointsPx.count, by: 2) {
                    let point = place(shown.pointsPx, i)
                    context.fill(
                        Path(ellipseIn: CGRect(x: point.x - 2, y: point.y - 2, width: 4, height: 4)),
                        with: .color(.yellow))
                }
            }
            VStack(alignment: .leading) {
                Text(shown.text).font(.headline)
                Text(
                    "\(milliseconds(shown.timings.preMs)) + \(milliseconds(shown.timings.inferenceMs)) + \(milliseconds(shown.timings.postMs)) ms, \(shown.backend)"
                )
                .font(.footnote)
            }
            .frame(maxWidth: .infinity, alignment: .leading)
            .padding()
            .background(.thinMaterial)
        }
        .accessibilityElement(children: .combine)
    }

    private func milliseconds(_ value: Double) -> String { String(format: "%.1f", value) }
}

/// What is not salient is dimmed: a dark picture that lets the rest through.
private func dim(_ mask: Mask) -> CGImage? {
    var pixels = [UInt8](repeating: 0, count: 4 * mask.values.count)
    // Black with its opacity needs no premultiplied colours.
    for (i, value) in mask.values.enumerated() { pixels[4 * i + 3] = UInt8(215 * (1 - min(max(value, 0), 1))) }
    guard let provider = CGDataProvider(data: Data(pixels) as CFData) else { return nil }
    return CGImage(
        width: mask.width, height: mask.height, bitsPerComponent: 8, bitsPerPixel: 32, bytesPerRow: 4 * mask.width,
        space: CGColorSpaceCreateDeviceRGB(), bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.premultipliedLast.rawValue),
        provider: provider, decode: nil, shouldInterpolate: true, intent: .defaultIntent)
}

struct ProblemText: View {
    let text: String

    init(_ text: String) { self.text = text }

    var body: some View { Text(text).padding().background(.red.opacity(0.15)).padding() }
}

struct PictureScreen: View {
    let model: DemoModel
    @State private var item: PhotosPickerItem?
    @State private var image: UIImage?
    @State private var shown: Shown?

    var body: some View {
        VStack {
            PhotosPicker("Choose a picture", selection: $item, matching: .images).buttonStyle(.borderedProminent)
            if let image {
                Image(uiImage: image).resizable().scaledToFit()
                    .overlay { if let shown { ResultOverlay(shown: shown, size: image.size) } }
            }
            if let problem = model.problem { ProblemText(problem) }
            Spacer()
        }
        .padding()
        .onChange(of: item) { Task { await read() } }
    }

    private func read() async {
        do {
            guard let data = try await item?.loadTransferable(type: Data.self), let loaded = UIImage(data: data),
                let pixels = loaded.cgImage
            else { throw OnParError.badInput("the file is no picture that can be read; choose another") }
            image = loaded
            shown = try await model.detector?.detect(Picture(pixels, orientation: loaded.imageOrientation.exif))
        } catch {
            model.say(error)
        }
    }
}

extension UIImage.Orientation {
    /// The EXIF value.
    var exif: Int {
        switch self {
        case .up: 1
        case .upMirrored: 2
        case .down: 3
        case .downMirrored: 4
        case .leftMirrored: 5
        case .right: 6
        case .rightMirrored: 7
        case .left: 8
        @unknown default: 1
        }
    }
}

struct SelfTestScreen: View {
    let model: DemoModel
    @State private var report: SelfTestReport?
    @State private var running = false

    var body: some View {
        List {
            Button(running ? "Running" : "Run the self-test") { run() }.disabled(running || model.bundle == nil)
            if let report {
                Section("\(report.passed ? "Proved" : "Not proved"): \(report.bundle), \(report.backend)") {
                    ForEach(report.checks, id: \.name) { check in
                        LabeledContent(check.name, value: String(format: "%.4g, limit %.4g", check.value, check.limit))
                            .foregroundStyle(check.passed ? Color.primary : Color.red)
                    }
                }
            }
            if let problem = model.problem { ProblemText(problem) }
        }
    }

    private func run() {
        guard let bundle = model.bundle else { return }
        running = true
        Task {
            defer { running = false }
            do {
                report = try await Task.detached {
                    try GoldenSelfTest.run(bundle, runtime: "coreml") { try CoreMLRunner($0) }
                }.value
            } catch {
                model.say(error)
            }
        }
    }
}

struct BenchmarkScreen: View {
    let model: DemoModel
    @State private var record: BenchmarkRecord?
    @State private var file: URL?
    @State private var running = false
    private let rounds = 200

    var body: some View {
        List {
            Button(running ? "Running" : "Time \(rounds) runs") { run() }.disabled(running || model.bundle == nil)
            if let record {
                LabeledContent("Model, median", value: String(format: "%.2f ms", record.quantile(0.5)))
                LabeledContent("Model, 90 % below", value: String(format: "%.2f ms", record.quantile(0.9)))
                LabeledContent("Loading, first", value: String(format: "%.0f ms", record.loadSamplesMs[0]))
            }
            if let file { ShareLink("Share the record", item: file) }
            if let problem = model.problem { ProblemText(problem) }
        }
    }

    private func run() {
        guard let bundle = model.bundle else { return }
        let system = UIDevice.current.systemVersion
        let device = Device.phone(os: "iOS \(system)")
        let count = rounds
        running = true
        Task {
            defer { running = false }
            do {
                let made = try await Task.detached {
                    try BenchmarkRecord.measure(
                        bundle, rounds: count, device: device, runtime: "coreml", runtimeVersion: "iOS \(system)",
                        delegate: "Core ML", runner: { try CoreMLRunner($0) })
                }.value
                let url = URL.documentsDirectory.appendingPathComponent("\(made.bundle.manifest.id).json")
                try made.toJson().write(to: url)
                (record, file) = (made, url)
            } catch {
                model.say(error)
            }
        }
    }
}

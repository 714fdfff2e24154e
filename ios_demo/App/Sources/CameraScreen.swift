import AVFoundation
import OnPar
import SwiftUI

/// The back camera with live results. Frames that come while one is worked on are dropped, never queued.
struct CameraScreen: View {
    let model: DemoModel
    @State private var camera = Camera()

    var body: some View {
        ZStack(alignment: .bottom) {
            CameraPreview(session: camera.session)
            if let shown = camera.shown { ResultOverlay(shown: shown, size: camera.frameSize) }
            if let problem = camera.problem ?? model.problem { ProblemText(problem) }
        }
        .task(id: model.name) { await camera.start { model.detector } }
        .onDisappear { camera.stop() }
    }
}

@MainActor @Observable
final class Camera: NSObject {
    let session = AVCaptureSession()
    private(set) var shown: Shown?
    private(set) var frameSize = CGSize(width: 1, height: 1)
    private(set) var problem: String?
    private let queue = DispatchQueue(label: "camera")
    private var detector: (() -> AnyDetector?)?

    func start(_ detector: @escaping () -> AnyDetector?) async {
        self.detector = detector
        guard await AVCaptureDevice.requestAccess(for: .video) else {
            problem = "No permission for the camera: allow it in Settings, or choose a picture."
            return
        }
        guard session.inputs.isEmpty else { return resume() }
        guard let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back),
            let input = try? AVCaptureDeviceInput(device: device), session.canAddInput(input)
        else {
            problem = "This device has no camera that can be used: choose a picture."
            return
        }
        let output = AVCaptureVideoDataOutput()
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_420YpCbCr8BiPlanarFullRange
        ]
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: queue)
        session.sessionPreset = .vga640x480
        session.addInput(input)
        if session.canAddOutput(output) { session.addOutput(output) }
        resume()
    }

    func stop() {
        let session = session
        queue.async { session.stopRunning() }
    }

    private func resume() {
        let session = session
        queue.async { session.startRunning() }
    }

    private func work(_ frame: YuvFrame, _ timestampMs: Int) async {
        do {
            guard let found = try await detector?()?.detectForVideo(frame, timestampMs: timestampMs) else { return }
            (shown, frameSize, problem) = (found, CGSize(width: frame.width, height: frame.height), nil)
        } catch {
            problem = (error as? OnParError)?.message ?? error.localizedDescription
        }
    }
}

extension Camera: AVCaptureVideoDataOutputSampleBufferDelegate {
    nonisolated func captureOutput(
        _ output: AVCaptureOutput, didOutput buffer: CMSampleBuffer, from connection: AVCaptureConnection
    ) {
        // 6: the sensor of a phone held upright lies on its side.
        guard let pixels = CMSampleBufferGetImageBuffer(buffer), let frame = try? YuvFrame(pixels, orientation: 6)
        else { return }
        let timestampMs = Int(CMSampleBufferGetPresentationTimeStamp(buffer).seconds * 1000)
        Task { @MainActor in await work(frame, timestampMs) }
    }
}

struct CameraPreview: UIViewRepresentable {
    let session: AVCaptureSession

    final class PreviewView: UIView {
        override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }
    }

    func makeUIView(context: Context) -> PreviewView {
        let view = PreviewView()
        let layer = view.layer as! AVCaptureVideoPreviewLayer
        layer.session = session
        layer.videoGravity = .resizeAspect
        return view
    }

    func updateUIView(_ view: PreviewView, context: Context) {}
}

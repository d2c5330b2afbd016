// The camera's picture with the sky in blue: put this file into an app that links Skyedge, and an artifact of format ncnn as the
// folder `model` into its bundle. Info.plist needs NSCameraUsageDescription.
import AVFoundation
import CoreImage
import Skyedge
import SwiftUI

@main
struct SkyCameraApp: App {
    @StateObject private var camera = SkyCamera()

    var body: some Scene {
        WindowGroup {
            ZStack {
                if let frame = camera.frame { Image(decorative: frame, scale: 1).resizable().scaledToFill() }
                if let sky = camera.sky {
                    Color.blue.opacity(0.5).mask(Image(decorative: sky, scale: 1).resizable().scaledToFill())
                }
                if let problem = camera.problem { Text(problem).padding() }
            }
            .ignoresSafeArea()
            .task { await camera.start() }
        }
    }
}

/// Frames of the back camera and their masks. Both have the frame's sides, so that they line up however the view crops them.
final class SkyCamera: NSObject, ObservableObject, AVCaptureVideoDataOutputSampleBufferDelegate {
    @Published var frame: CGImage?
    @Published var sky: CGImage?
    @Published var problem: String?

    private let session = AVCaptureSession()
    private let queue = DispatchQueue(label: "frames")
    private let context = CIContext()
    private var segmenter: SkySegmenter?

    @MainActor
    func start() async {
        guard await AVCaptureDevice.requestAccess(for: .video) else {
            problem = "The camera may not be used; allow it in Settings."
            return
        }
        do {
            guard let folder = Bundle.main.url(forResource: "model", withExtension: nil),
                  let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back)
            else { problem = "The folder `model` or a camera is missing."; return }
            let opened = try SkySegmenter(folder: folder, fp16: true)
            if !opened.notes.isEmpty { print(opened.notes) }
            segmenter = opened
            session.sessionPreset = .vga640x480
            session.addInput(try AVCaptureDeviceInput(device: device))
            let output = AVCaptureVideoDataOutput()
            output.videoSettings = [kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_420YpCbCr8BiPlanarFullRange]
            output.alwaysDiscardsLateVideoFrames = true
            output.setSampleBufferDelegate(self, queue: queue)
            session.addOutput(output)
            queue.async { self.session.startRunning() }
        } catch {
            problem = error.localizedDescription
        }
    }

    /// The sensor lies on its side: a phone that is held upright turns its frames by 90 degrees.
    func captureOutput(_: AVCaptureOutput, didOutput sample: CMSampleBuffer, from _: AVCaptureConnection) {
        guard let buffer = CMSampleBufferGetImageBuffer(sample), let segmenter else { return }
        let image = CIImage(cvPixelBuffer: buffer).oriented(.right)
        let shown = context.createCGImage(image, from: image.extent)
        do {
            let mask = alphaImage(try segmenter.segment(buffer, rotation: 90))
            DispatchQueue.main.async { self.frame = shown; self.sky = mask }
        } catch {
            DispatchQueue.main.async { self.problem = error.localizedDescription }
        }
    }

    private func alphaImage(_ mask: SkySegmenter.Mask) -> CGImage? {
        guard let data = CGDataProvider(data: Data(mask.alpha) as CFData) else { return nil }
        return CGImage(
            width: mask.width, height: mask.height, bitsPerComponent: 8, bitsPerPixel: 8, bytesPerRow: mask.width,
            space: CGColorSpaceCreateDeviceGray(), bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.alphaOnly.rawValue),
            provider: data, decode: nil, shouldInterpolate: true, intent: .defaultIntent)
    }
}

import CSkyedge
import CoreVideo
import Foundation

/// What the library says: got, expected, next step.
public struct SkyedgeError: LocalizedError {
    public let errorDescription: String?

    static func last() -> SkyedgeError { SkyedgeError(errorDescription: String(cString: skyedge_last_error())) }
}

/// The sky network. One per stream of frames; calls wait for each other.
public final class SkySegmenter {
    /// Alpha of the upright frame, row by row, 255 is sky.
    public struct Mask {
        public let alpha: [UInt8]
        public let width: Int
        public let height: Int
    }

    /// What was asked for and is not used, and why, one line each; empty if all is used.
    public let notes: String

    private let handle: OpaquePointer

    /// Opens the artifact in a folder of the app's bundle. `fp16` is tried on its golden pair; `notes` says if it is not used.
    public init(folder: URL, threads: Int = 2, fp16: Bool = false) throws {
        var options = skyedge_options()
        skyedge_options_init(&options)
        options.threads = Int32(threads)
        options.fp16 = fp16 ? 1 : 0
        var opened: OpaquePointer?
        guard skyedge_create(folder.path, &options, &opened) == Int32(SKYEDGE_OK), let opened else { throw SkyedgeError.last() }
        handle = opened
        notes = String(cString: skyedge_notes(opened))
    }

    deinit { skyedge_destroy(handle) }

    /// Segments a frame of kCVPixelFormatType_32BGRA or kCVPixelFormatType_420YpCbCr8BiPlanarFullRange, which `rotation` degrees
    /// clockwise make upright. The mask has `side` pixels on its longer side, for a shader to enlarge.
    public func segment(_ buffer: CVPixelBuffer, rotation: Int = 0, side: Int = 320) throws -> Mask {
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        let planar = CVPixelBufferIsPlanar(buffer)
        let wide = CVPixelBufferGetWidth(buffer), high = CVPixelBufferGetHeight(buffer)
        var frame = skyedge_frame()
        skyedge_frame_init(&frame)
        frame.format = Int32(planar ? SKYEDGE_NV12 : SKYEDGE_BGRA)
        frame.width = Int32(wide)
        frame.height = Int32(high)
        frame.rotation = Int32(rotation)
        let pointer = { (plane: Int) in
            UnsafePointer((planar ? CVPixelBufferGetBaseAddressOfPlane(buffer, plane) : CVPixelBufferGetBaseAddress(buffer))?
                .assumingMemoryBound(to: UInt8.self))
        }
        let stride = { (plane: Int) in
            Int32(planar ? CVPixelBufferGetBytesPerRowOfPlane(buffer, plane) : CVPixelBufferGetBytesPerRow(buffer))
        }
        frame.planes.0 = pointer(0)
        frame.row_strides.0 = stride(0)
        if planar {
            frame.planes.1 = pointer(1)
            frame.row_strides.1 = stride(1)
        }
        let turned = rotation % 180 != 0
        let width = max(1, (turned ? high : wide) * side / max(wide, high))
        let height = max(1, (turned ? wide : high) * side / max(wide, high))
        var alpha = [UInt8](repeating: 0, count: width * height)
        let code = alpha.withUnsafeMutableBytes { memory -> Int32 in
            var mask = skyedge_mask()
            skyedge_mask_init(&mask)
            mask.data = memory.baseAddress
            mask.row_stride = width
            mask.width = Int32(width)
            mask.height = Int32(height)
            return skyedge_segment(handle, &frame, &mask)
        }
        guard code == Int32(SKYEDGE_OK) else { throw SkyedgeError.last() }
        return Mask(alpha: alpha, width: width, height: height)
    }
}

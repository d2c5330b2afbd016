// The sky in the frames of a camera on Linux, such as a webcam on a Raspberry Pi: masks as a gray video (y4m) on stdout.
//   skyedge_v4l2 MODEL [DEVICE [WIDTHxHEIGHT [ROTATION]]] | ffplay -
// Takes the first of YUYV, UYVY, NV12 and MJPEG that the camera has. Copy what you need into your app.
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "codec/image_io.h"
#include "core/image/frame_input.h"
#include "skyedge/sky_segmenter.h"

namespace {

using skyedge::Error;
using skyedge::Failure;
using skyedge::FrameView;
using skyedge::PixelFormat;
using skyedge::YuvColor;

constexpr std::uint32_t kBuffers = 3;
constexpr int kPatienceMs = 2000;

volatile std::sig_atomic_t stop_asked = 0;

template <class Request>
Request request_of(int (*)(int, Request, ...));  // unsigned long in glibc, int in musl

class Camera {
public:
    ~Camera() {
        for (const auto& [data, bytes] : buffers_) {
            ::munmap(data, bytes);
        }
        if (device_ >= 0) {
            ::close(device_);
        }
    }

    // The driver may choose another size than the one asked for; size() tells.
    Failure open(const std::string& path, int width, int height) {
        device_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        v4l2_capability facts{};
        if (device_ < 0 || !ask(VIDIOC_QUERYCAP, facts) || (facts.device_caps & V4L2_CAP_VIDEO_CAPTURE) == 0) {
            return told("got " + path + ", which is no camera that opens", "see v4l2-ctl --list-devices");
        }
        bool found = false;
        for (const std::uint32_t wanted :
             {V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_UYVY, V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_MJPEG}) {
            format_ = {};
            format_.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
            format_.fmt.pix.width = static_cast<std::uint32_t>(width);
            format_.fmt.pix.height = static_cast<std::uint32_t>(height);
            format_.fmt.pix.pixelformat = wanted;
            found = ask(VIDIOC_S_FMT, format_) && format_.fmt.pix.pixelformat == wanted;
            if (found) {
                break;
            }
        }
        if (!found) {
            return Error{"got no YUYV, UYVY, NV12 or MJPEG from " + path + ", expected one; see v4l2-ctl --list-formats"};
        }
        v4l2_requestbuffers request{};
        request.count = kBuffers;
        request.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        request.memory = V4L2_MEMORY_MMAP;
        if (!ask(VIDIOC_REQBUFS, request)) {
            return told("got no buffers from " + path, "close what else uses the camera");
        }
        for (std::uint32_t i = 0; i < request.count; ++i) {
            v4l2_buffer buffer = empty_buffer();
            buffer.index = i;
            void* data = ask(VIDIOC_QUERYBUF, buffer)
                             ? ::mmap(nullptr, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, device_, buffer.m.offset)
                             : MAP_FAILED;
            if (data == MAP_FAILED || !ask(VIDIOC_QBUF, buffer)) {
                return told("cannot map the buffers of " + path, "close what else uses the camera");
            }
            buffers_.emplace_back(data, buffer.length);
        }
        int kind = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        return ask(VIDIOC_STREAMON, kind) ? std::nullopt : Failure(told("cannot start " + path, "plug it in again"));
    }

    skyedge::FrameSize size() const {
        return {static_cast<int>(format_.fmt.pix.width), static_cast<int>(format_.fmt.pix.height)};
    }

    // Calls use(frame) on the next frame, whose memory is the camera's.
    template <class Use>
    Failure next(const Use& use) {
        pollfd ready{device_, POLLIN, 0};
        const int count = ::poll(&ready, 1, kPatienceMs);
        v4l2_buffer buffer = empty_buffer();
        if (count == 0 || (count < 0 && errno != EINTR) || (count > 0 && !ask(VIDIOC_DQBUF, buffer))) {
            return Error{"got no frame in " + std::to_string(kPatienceMs) + " ms, expected one; look whether the camera is plugged in"};
        }
        if (count < 0) {
            return std::nullopt;  // a signal
        }
        const auto* bytes = static_cast<const std::uint8_t*>(buffers_[buffer.index].first);
        Failure failure = view(bytes, buffer.bytesused, use);
        if (!ask(VIDIOC_QBUF, buffer)) {
            return told("cannot give a frame back", "plug the camera in again");
        }
        return failure;
    }

private:
    template <class Use>
    Failure view(const std::uint8_t* bytes, std::size_t count, const Use& use) {
        const v4l2_pix_format& pixels = format_.fmt.pix;
        FrameView frame;
        if (pixels.pixelformat == V4L2_PIX_FMT_MJPEG) {
            const skyedge::Result<skyedge::Image> image = skyedge::decode_rgb({bytes, bytes + count}, "of the camera");
            return image ? use(skyedge::view_of(image.value())) : std::nullopt;  // webcams now and then send a broken frame
        }
        if (count < pixels.sizeimage) {
            return std::nullopt;
        }
        frame.format = pixels.pixelformat == V4L2_PIX_FMT_YUYV   ? PixelFormat::kYuyv
                       : pixels.pixelformat == V4L2_PIX_FMT_UYVY ? PixelFormat::kUyvy
                                                                 : PixelFormat::kNv12;
        frame.color = pixels.quantization == V4L2_QUANTIZATION_FULL_RANGE ? YuvColor::kBt601Full : YuvColor::kBt601Video;
        frame.width_px = static_cast<int>(pixels.width);
        frame.height_px = static_cast<int>(pixels.height);
        const auto stride = static_cast<int>(pixels.bytesperline);
        frame.planes = {bytes, bytes + std::size_t{pixels.bytesperline} * pixels.height, nullptr};
        frame.row_strides = {stride, stride, 0};
        return use(frame);
    }

    template <class Value>
    bool ask(unsigned long request, Value& value) {
        int code = 0;
        do {
            code = ::ioctl(device_, static_cast<decltype(request_of(::ioctl))>(request), &value);
        } while (code != 0 && errno == EINTR);
        return code == 0;
    }

    static v4l2_buffer empty_buffer() {
        v4l2_buffer buffer{};
        buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        buffer.memory = V4L2_MEMORY_MMAP;
        return buffer;
    }

    static Error told(const std::string& what, const std::string& next) {
        return Error{what + " (" + std::strerror(errno) + "); " + next};
    }

    int device_ = -1;
    v4l2_format format_{};
    std::vector<std::pair<void*, std::size_t>> buffers_;
};

Failure run(const std::vector<std::string>& words) {
    int width = 640, height = 480, rotation = 0;
    if (words.empty() || words.size() > 4 ||
        (words.size() > 2 && std::sscanf(words[2].c_str(), "%5dx%5d", &width, &height) != 2) ||
        (words.size() > 3 && std::sscanf(words[3].c_str(), "%3d", &rotation) != 1)) {
        return Error{"got other words, expected MODEL [DEVICE [WIDTHxHEIGHT [ROTATION]]], such as "
                     "models/unet_lite_s/ncnn-int8 /dev/video0 640x480 0"};
    }
    const skyedge::Result<skyedge::SkySegmenter> network = skyedge::SkySegmenter::load(words[0]);
    if (!network) {
        return network.error();
    }
    Camera camera;
    if (Failure failure = camera.open(words.size() > 1 ? words[1] : "/dev/video0", width, height)) {
        return failure;
    }
    const auto [wide, high] = camera.size();
    const bool turned = rotation % 180 != 0;
    std::vector<std::uint8_t> alpha(static_cast<std::size_t>(wide) * static_cast<std::size_t>(high));
    const int columns = turned ? high : wide, rows = turned ? wide : high;
    std::printf("YUV4MPEG2 W%d H%d F30:1 Ip A1:1 Cmono\n", columns, rows);
    skyedge::Workspace workspace;
    while (stop_asked == 0) {
        const Failure failure = camera.next([&](FrameView frame) -> Failure {
            frame.rotation_deg = rotation;
            if (Failure wrong = network.value().segment(frame, workspace, {alpha.data(), columns, columns, rows})) {
                return wrong;
            }
            std::fputs("FRAME\n", stdout);
            std::fwrite(alpha.data(), 1, alpha.size(), stdout);
            return std::fflush(stdout) == 0 ? std::nullopt : Failure(Error{"cannot write to stdout, expected a player behind it"});
        });
        if (failure) {
            return failure;
        }
    }
    return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
    for (const int number : {SIGINT, SIGTERM}) {
        std::signal(number, [](int) { stop_asked = 1; });
    }
    std::signal(SIGPIPE, SIG_IGN);
    if (const Failure failure = run({argv + 1, argv + argc})) {
        std::fprintf(stderr, "error: %s\n", failure->message.c_str());
        return 2;
    }
    return 0;
}

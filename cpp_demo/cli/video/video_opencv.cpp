#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#include <thread>

#include "cli/commands.h"
#include "cli/stopwatch.h"
#include "skyedge/sky_segmenter.h"

namespace skyedge {
namespace {

namespace fs = std::filesystem;

volatile std::sig_atomic_t stop_asked = 0;

// Returns how many frames can be read back from a file.
int count_frames(const fs::path& path) {
    cv::VideoCapture capture(path.string());
    int count = 0;
    while (capture.grab()) {
        ++count;
    }
    return count;
}

bool is_camera(const std::string& input) {
    return !input.empty() && input.size() <= 3 && input.find_first_not_of("0123456789") == std::string::npos;
}

bool is_stream(const std::string& input) { return input.find("://") != std::string::npos; }

// A file, a camera or a stream. What has no end is opened again when it drops out.
class Input {
public:
    Input(std::string name, double reconnect_s) : name_(std::move(name)), reconnect_s_(reconnect_s) {}

    Failure open() {
        std::error_code code;
        if (is_camera(name_)) {
            if (!capture_.open(std::stoi(name_))) {
                return Error{"got camera " + name_ + ", which does not open; expected the number of a camera that is plugged "
                             "in and not in use, such as 0 for /dev/video0"};
            }
        } else if (!is_stream(name_) && !fs::is_regular_file(name_, code)) {
            return Error{"got --input " + name_ +
                         ", expected an existing video file, the number of a camera or the URL of a stream"};
        } else if (!capture_.open(is_stream(name_) ? name_ : fs::absolute(name_).string())) {  // "12:30.mp4" is no protocol
            return Error{"cannot read " + name_ + ": no video that this build of OpenCV decodes; convert it to H.264 in MP4"};
        }
        endless_ = is_camera(name_) || (is_stream(name_) && capture_.get(cv::CAP_PROP_FRAME_COUNT) <= 0);
        return std::nullopt;
    }

    double frames_per_second() const {
        const double told = capture_.get(cv::CAP_PROP_FPS);
        return told >= 1.0 && told <= 1000.0 ? told : 25.0;  // cameras may not say
    }

    // Reads the next frame, with square pixels and at the size of the first one.
    bool read(cv::Mat& frame) {
        bool found = capture_.read(frame) && !frame.empty();
        Stopwatch watch;
        double gone_s = 0.0;
        for (auto pause = kFirstPause; !found && endless_ && stop_asked == 0 && gone_s < reconnect_s_; pause *= 2) {
            capture_.release();
            std::this_thread::sleep_for(std::min(pause, kLongestPause));
            found = !open() && capture_.read(frame) && !frame.empty();
            endless_ = true;
            gone_s += watch.lap_ms() / 1000;
            if (found) {
                std::fprintf(stderr, "%s dropped out and is back after %.1f s\n", name_.c_str(), gone_s);
            }
        }
        if (found && read_size_ != frame.size()) {
            if (read_size_.empty()) {
                shown_size_ = square(frame.size());
            } else {
                std::fprintf(stderr, "%s changes from %d x %d to %d x %d pixels; its frames are resized to the first size\n",
                             name_.c_str(), read_size_.width, read_size_.height, frame.cols, frame.rows);
            }
            read_size_ = frame.size();
        }
        if (found && frame.size() != shown_size_) {
            cv::resize(frame, frame, shown_size_);
        }
        return found;
    }

    bool dropped_out() const { return endless_; }

private:
    static constexpr std::chrono::milliseconds kFirstPause{250}, kLongestPause{8000};

    // The size of a frame whose pixels are square, as it is shown.
    cv::Size square(cv::Size size) const {
        const bool turned = std::lround(capture_.get(cv::CAP_PROP_ORIENTATION_META)) % 180 != 0;  // OpenCV has turned it upright
        const double wide = capture_.get(cv::CAP_PROP_SAR_NUM), high = capture_.get(cv::CAP_PROP_SAR_DEN);
        const double aspect = wide > 0 && high > 0 ? (turned ? high / wide : wide / high) : 1.0;
        const auto width = static_cast<int>(std::lround(size.width * aspect));
        if (width == size.width || aspect < 0.1 || aspect > 10) {
            return size;
        }
        std::fprintf(stderr, "%s has pixels of %.3f : 1; they are made square, %d x %d\n", name_.c_str(), aspect, width, size.height);
        return {width, size.height};
    }

    std::string name_;
    double reconnect_s_;
    bool endless_ = false;
    cv::Size read_size_, shown_size_;
    cv::VideoCapture capture_;
};

// A video that is written to a partial file and renamed when it is complete.
class Output {
public:
    Output(const fs::path& path, double frames_per_second)
        : path_(path), partial_(path), frames_per_second_(frames_per_second) {
        partial_.replace_extension(".partial" + path.extension().string());
    }
    ~Output() {
        writer_.release();
        std::error_code code;
        fs::remove(partial_, code);
    }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    Failure write(const cv::Mat& frame) {
        if (path_.empty()) {
            return std::nullopt;
        }
        if (!writer_.isOpened()) {
            const bool avi = path_.extension() == ".avi";
            const int code =
                avi ? cv::VideoWriter::fourcc('M', 'J', 'P', 'G') : cv::VideoWriter::fourcc('m', 'p', '4', 'v');
            if (!writer_.open(fs::absolute(partial_).string(), code, frames_per_second_, frame.size(), true)) {
                return Error{"cannot write " + path_.string() +
                             ": choose a place that exists, has room and may be written"};
            }
        }
        writer_.write(frame);
        return std::nullopt;
    }

    // Renames the partial file if it holds every frame: OpenCV's writer does not report a full disk.
    Failure finish(int frames) {
        if (path_.empty()) {
            return std::nullopt;
        }
        writer_.release();
        const int found = count_frames(fs::absolute(partial_));
        if (found != frames) {
            return Error{"cannot write " + path_.string() + ": got " + std::to_string(found) + " frames back, expected " +
                             std::to_string(frames) + "; free some room on the disk",
                         ErrorCode::kFile};
        }
        std::error_code code;
        fs::rename(partial_, path_, code);
        return code ? Failure(Error{"cannot write " + path_.string() + ": " + code.message(), ErrorCode::kFile})
                    : std::nullopt;
    }

private:
    fs::path path_;
    fs::path partial_;
    double frames_per_second_;
    cv::VideoWriter writer_;
};

// Blends blue over the sky, up to one half, or returns the mask as gray.
void draw(const cv::Mat& mask, bool overlay, cv::Mat& frame) {
    constexpr int kSkyBlueFirst[] = {255, 120, 0};
    for (int y = 0; y < frame.rows; ++y) {
        const std::uint8_t* sky = mask.ptr(y);
        std::uint8_t* pixel = frame.ptr(y);
        for (int x = 0; x < frame.cols; ++x, ++sky) {
            for (int c = 0; c < 3; ++c, ++pixel) {
                const int share = *sky;
                *pixel = static_cast<std::uint8_t>(overlay ? (*pixel * (510 - share) + kSkyBlueFirst[c] * share) / 510
                                                           : share);
            }
        }
    }
}

// The time of each stage, over all frames.
class Stages {
public:
    static constexpr std::array kNames{"decode", "network", "mask", "draw", "encode"};

    void start() {
        stage_ = 0;
        watch_.lap_ms();
    }
    void lap() { total_ms_[stage_++] += watch_.lap_ms(); }
    void print(int frames) const {
        for (std::size_t i = 0; i < kNames.size(); ++i) {
            std::printf("%-8s %7.2f ms a frame\n", kNames[i], total_ms_[i] / frames);
        }
    }

private:
    std::array<double, kNames.size()> total_ms_{};
    std::size_t stage_ = 0;
    Stopwatch watch_;
};

Failure segment_frames(const VideoCommand& command, const SkySegmenter& segmenter) {
    for (const int number : {SIGINT, SIGTERM}) {  // end the loop, so that the recording is closed and kept
        std::signal(number, [](int) { stop_asked = 1; });
    }
    Input input(command.input, command.reconnect_s);
    if (Failure failure = input.open()) {
        return failure;
    }
    Output output(command.output, input.frames_per_second());
    Workspace workspace;
    ProbabilityResizer enlarge;
    Probability small;
    cv::Mat frame, rgb, mask;
    Stages stages;
    Stopwatch watch;
    int frames = 0;
    for (; stop_asked == 0 && (command.most_frames == 0 || frames < command.most_frames); ++frames) {
        stages.start();
        if (!input.read(frame)) {
            break;
        }
        if (frame.type() != CV_8UC3) {
            return Error{"got frames of another kind than 8-bit color in " + command.input + "; convert it to H.264 in MP4"};
        }
        cv::cvtColor(frame, rgb, cv::COLOR_BGR2RGB);
        stages.lap();
        FrameView view;
        view.width_px = rgb.cols;
        view.height_px = rgb.rows;
        view.planes[0] = rgb.data;
        view.row_strides[0] = static_cast<int>(rgb.step);
        if (Failure failure = segmenter.low_res(view, workspace, small)) {
            return failure;
        }
        stages.lap();
        mask.create(frame.size(), CV_8UC1);
        enlarge.resize(small, {mask.data, static_cast<std::ptrdiff_t>(mask.step), mask.cols, mask.rows});
        stages.lap();
        draw(mask, command.overlay, frame);
        stages.lap();
        if (Failure failure = output.write(frame)) {
            return failure;
        }
        stages.lap();
    }
    if (frames == 0) {
        return Error{"got no frame from " + command.input + ", expected one at least; look whether the file is whole"};
    }
    const double seconds = watch.lap_ms() / 1000;
    if (Failure failure = output.finish(frames)) {
        return failure;
    }
    if (input.dropped_out() && stop_asked == 0 && frames != command.most_frames) {
        return Error{"got " + std::to_string(frames) + " frames of " + command.input + "; it dropped out and did not come back in " +
                     std::to_string(std::lround(command.reconnect_s)) + " s" +
                     (command.output.empty() ? "" : ", and " + command.output.string() + " holds what could be read")};
    }
    const std::string place = command.output.empty() ? "nothing written" : command.output.string() + " (no sound)";
    std::printf("%s: %d frames of %d x %d pixels, %.1f frames a second\n", place.c_str(), frames, mask.cols, mask.rows,
                frames / seconds);
    stages.print(frames);
    return std::nullopt;
}

}  // namespace

Failure run_video(const VideoCommand& command) {
    const Result<SkySegmenter> segmenter = SkySegmenter::load(command.model, {command.threads});
    if (!segmenter) {
        return segmenter.error();
    }
    try {
        return segment_frames(command, segmenter.value());
    } catch (const std::exception& error) {  // of OpenCV, or out of memory
        return Error{"cannot go through " + command.input + ": " + error.what()};
    }
}

}  // namespace skyedge

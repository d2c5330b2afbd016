#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>

#include "cli/commands.h"
#include "core/mask/stopwatch.h"
#include "skyedge/sky_segmenter.h"

namespace skyedge {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostSamples = 4096;  // newest of each stage that are kept: a camera may run for days
constexpr double kSpare = 0.02;  // tolerated share of missing frames, as in edge_runtime/video/io.py

volatile std::sig_atomic_t stop_asked = 0;

// Ctrl-C and SIGTERM end the loop instead of the program, so that the recording is closed and kept.
class StopOnSignal {
public:
    StopOnSignal() {
        stop_asked = 0;
        for (std::size_t i = 0; i < before_.size(); ++i) {
            before_[i] = std::signal(kSignals[i], [](int) { stop_asked = 1; });
        }
    }
    ~StopOnSignal() {
        for (std::size_t i = 0; i < before_.size(); ++i) {
            std::signal(kSignals[i], before_[i]);
        }
    }
    StopOnSignal(const StopOnSignal&) = delete;
    StopOnSignal& operator=(const StopOnSignal&) = delete;

private:
    static constexpr std::array<int, 2> kSignals{SIGINT, SIGTERM};
    std::array<void (*)(int), 2> before_{};
};

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

Failure open_input(const std::string& input, cv::VideoCapture& capture) {
    std::error_code code;
    if (is_camera(input)) {
        if (!capture.open(std::stoi(input))) {
            return Error{"got camera " + input +
                         ", which does not open; expected the number of a camera that is plugged "
                         "in and not in use, such as 0 for /dev/video0"};
        }
    } else if (!is_stream(input) && !fs::is_regular_file(input, code)) {
        return Error{"got --input " + input +
                     ", expected an existing video file, the number of a camera or the URL of a stream"};
    } else if (!capture.open(input)) {
        return Error{"cannot read " + input +
                     ": no video that this build of OpenCV decodes; convert it to H.264 in MP4"};
    }
    return std::nullopt;
}

// A video that is written to a partial file and renamed when it is complete.
class Output {
public:
    Output(const fs::path& path, double frames_per_second)
        : path_(path), partial_(path), frames_per_second_(frames_per_second) {
        partial_.replace_extension("." + std::to_string(::getpid()) + ".partial" + path.extension().string());
        remove_stale();
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
            if (!writer_.open(partial_.string(), code, frames_per_second_, frame.size(), true)) {
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
        const int found = count_frames(partial_);
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
    // Removes partial files of this output that ended programs left.
    void remove_stale() const {
        if (path_.empty()) {
            return;
        }
        const std::string head = path_.stem().string() + ".", tail = ".partial" + path_.extension().string();
        std::error_code code;
        const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
        for (const auto& entry : fs::directory_iterator(folder, code)) {
            const std::string name = entry.path().filename().string();
            if (name.size() <= head.size() + tail.size() || name.compare(0, head.size(), head) != 0 ||
                name.compare(name.size() - tail.size(), tail.size(), tail) != 0) {
                continue;
            }
            const std::string number = name.substr(head.size(), name.size() - head.size() - tail.size());
            const bool digits = number.size() <= 9 && number.find_first_not_of("0123456789") == std::string::npos;
            if (digits && ::kill(std::stoi(number), 0) != 0 && errno == ESRCH) {
                fs::remove(entry.path(), code);
            }
        }
    }

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

// The newest times of each stage of a frame, in milliseconds.
class Stages {
public:
    static constexpr std::array kNames{"decode", "network", "mask", "draw", "encode"};

    void start(int frame) {
        slot_ = static_cast<std::size_t>(frame) % kMostSamples;
        stage_ = 0;
        watch_.lap_ms();
    }
    void lap() {
        std::vector<double>& samples = samples_[stage_++];
        samples.resize(std::max(samples.size(), slot_ + 1));
        samples[slot_] = watch_.lap_ms();
    }
    void print() {
        for (std::size_t i = 0; i < kNames.size(); ++i) {
            std::sort(samples_[i].begin(), samples_[i].end());
            const auto percentile = [&](double share) {
                return samples_[i][static_cast<std::size_t>(share * static_cast<double>(samples_[i].size() - 1) + 0.5)];
            };
            std::printf("%-8s p50 %7.2f ms  p95 %7.2f ms\n", kNames[i], percentile(0.5), percentile(0.95));
        }
    }

private:
    std::array<std::vector<double>, kNames.size()> samples_;
    std::size_t slot_ = 0;
    std::size_t stage_ = 0;
    Stopwatch watch_;
};

Failure segment_frames(const VideoCommand& command, const SkySegmenter& segmenter) {
    const StopOnSignal guard;
    cv::VideoCapture capture;
    if (Failure failure = open_input(command.input, capture)) {
        return failure;
    }
    const double told = capture.get(cv::CAP_PROP_FPS);
    const double promised =
        is_camera(command.input) || is_stream(command.input) ? 0.0 : capture.get(cv::CAP_PROP_FRAME_COUNT);
    Output output(command.output, told >= 1.0 && told <= 1000.0 ? told : 25.0);  // cameras may not say
    Workspace workspace;
    ProbabilityResizer enlarge;
    Probability small;
    cv::Mat frame, rgb, mask;
    Stages stages;
    Stopwatch watch;
    int frames = 0;
    for (; stop_asked == 0 && (command.most_frames == 0 || frames < command.most_frames); ++frames) {
        stages.start(frames);
        if (!capture.read(frame) || frame.empty()) {
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
    const bool whole = stop_asked != 0 || (command.most_frames > 0 && frames == command.most_frames);
    if (!whole && promised > 0 && frames < promised * (1 - kSpare) - 2) {
        return Error{"got " + std::to_string(frames) + " frames of " + command.input + ", expected " +
                     std::to_string(static_cast<long>(promised)) + "; it is truncated" +
                     (command.output.empty() ? "" : ", and " + command.output.string() + " holds what could be read")};
    }
    const std::string place = command.output.empty() ? "nothing written" : command.output.string();
    std::printf("%s: %d frames of %d x %d pixels, %.1f frames a second\n", place.c_str(), frames, mask.cols, mask.rows,
                frames / seconds);
    stages.print();
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

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include "skyedge/sky_segmenter.h"
#include "cli/video/video.h"

namespace skyedge {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

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
    explicit Output(const fs::path& path) : path_(path), partial_(path) {
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

    Failure write(const cv::Mat& frame, double frames_per_second) {
        if (path_.empty()) {
            return std::nullopt;
        }
        if (!writer_.isOpened()) {
            const bool avi = path_.extension() == ".avi";
            const int code =
                avi ? cv::VideoWriter::fourcc('M', 'J', 'P', 'G') : cv::VideoWriter::fourcc('m', 'p', '4', 'v');
            if (!writer_.open(partial_.string(), code, frames_per_second, frame.size(), true)) {
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
    cv::VideoWriter writer_;
};

// Converts OpenCV's B, G, R to R, G, B.
void to_rgb(const cv::Mat& frame, Image& image) {
    image.width_px = frame.cols;
    image.height_px = frame.rows;
    image.rgb.resize(static_cast<std::size_t>(frame.cols) * static_cast<std::size_t>(frame.rows) * 3);
    std::uint8_t* to = image.rgb.data();
    for (int y = 0; y < frame.rows; ++y) {
        const std::uint8_t* from = frame.ptr(y);
        for (int x = 0; x < frame.cols; ++x, from += 3, to += 3) {
            to[0] = from[2];
            to[1] = from[1];
            to[2] = from[0];
        }
    }
}

// Blends blue over the sky, up to one half, or returns the mask as gray.
void draw(const Mask& mask, bool overlay, cv::Mat& frame) {
    constexpr int kSkyBlueFirst[] = {255, 120, 0};
    const std::uint8_t* sky = mask.values.data();
    for (int y = 0; y < frame.rows; ++y) {
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

}  // namespace

Result<VideoReport> segment_video(const VideoConfig& config) {
    const Result<SkySegmenter> segmenter = SkySegmenter::load(config.model, {config.threads});
    if (!segmenter) {
        return segmenter.error();
    }
    VideoReport report;
    report.stages = {{"decode", {}}, {"network", {}}, {"mask", {}}, {"draw", {}}, {"encode", {}}};
    const StopOnSignal guard;
    try {
        cv::VideoCapture capture;
        if (const Failure failure = open_input(config.input, capture)) {
            return *failure;
        }
        const double told = capture.get(cv::CAP_PROP_FPS);
        const double promised = is_camera(config.input) || is_stream(config.input) ? 0.0 : capture.get(cv::CAP_PROP_FRAME_COUNT);
        const double frames_per_second = told >= 1.0 && told <= 1000.0 ? told : 25.0;  // cameras may not say
        Output output(config.output);
        Workspace workspace;
        ProbabilityResizer enlarge;
        Image image;
        Probability small, sky;
        Mask mask;
        cv::Mat frame;
        const Clock::time_point start = Clock::now();
        while (stop_asked == 0 && (config.most_frames == 0 || report.frames < config.most_frames)) {
            Clock::time_point last = Clock::now();
            const auto lap = [&](std::size_t stage) {
                const Clock::time_point now = Clock::now();
                const double took_ms = std::chrono::duration<double, std::milli>(now - last).count();
                std::vector<double>& samples = report.stages[stage].samples_ms;
                if (samples.size() < kMostSamples) {
                    samples.push_back(took_ms);
                } else {
                    samples[static_cast<std::size_t>(report.frames) % kMostSamples] = took_ms;
                }
                last = now;
            };
            if (!capture.read(frame) || frame.empty()) {
                break;
            }
            if (frame.type() != CV_8UC3) {
                return Error{"got frames of another kind than 8-bit color in " + config.input +
                             "; convert it to H.264 in MP4"};
            }
            to_rgb(frame, image);
            lap(0);
            if (const Failure failure = segmenter.value().low_res(image, workspace, small)) {
                return *failure;
            }
            lap(1);
            enlarge.resize(small, image.width_px, image.height_px, sky);
            to_mask8(sky, mask);
            lap(2);
            draw(mask, config.overlay, frame);
            lap(3);
            if (const Failure failure = output.write(frame, frames_per_second)) {
                return *failure;
            }
            lap(4);
            ++report.frames;
        }
        report.width_px = image.width_px;
        report.height_px = image.height_px;
        if (report.frames == 0) {
            return Error{"got no frame from " + config.input +
                         ", expected one at least; look whether the file is whole"};
        }
        report.seconds = std::chrono::duration<double>(Clock::now() - start).count();
        if (const Failure failure = output.finish(report.frames)) {
            return *failure;
        }
        const bool whole = stop_asked != 0 || (config.most_frames > 0 && report.frames == config.most_frames);
        if (!whole && promised > 0 && report.frames < promised * (1 - kSpare) - 2) {
            return Error{"got " + std::to_string(report.frames) + " frames of " + config.input + ", expected " +
                         std::to_string(static_cast<long>(promised)) + "; it is truncated" +
                         (config.output.empty() ? "" : ", and " + config.output.string() + " holds what could be read")};
        }
    } catch (const std::exception& error) {  // of OpenCV, or out of memory
        return Error{"cannot go through " + config.input + ": " + error.what()};
    }
    return report;
}

}  // namespace skyedge

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#include <thread>

#include "cli/commands.h"
#include "core/mask/stopwatch.h"
#include "skyedge/sky_segmenter.h"

namespace skyedge {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostSamples = 4096;  // newest of each stage that are kept: a camera may run for days

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

// Returns whether the file is shorter than its container says: the chunks of AVI, the boxes of MP4 or the segment of Matroska.
// Frame counts in headers do not tell: edit lists and tracks of different lengths change what is shown.
bool ends_early(const fs::path& path) {
    std::error_code code;
    const std::uint64_t size = fs::file_size(path, code);
    std::ifstream file(path, std::ios::binary);
    for (std::uint64_t at = 0; !code && at + 16 <= size;) {
        std::array<unsigned char, 16> head{};
        file.seekg(static_cast<std::streamoff>(at));
        file.read(reinterpret_cast<char*>(head.data()), head.size());
        const auto big = [&](std::size_t from, std::size_t count) {
            std::uint64_t value = 0;
            for (std::size_t i = from; i < from + count; ++i) {
                value = value << 8U | head[i];
            }
            return value;
        };
        std::uint64_t next = at;
        if (big(0, 4) == 0x52494646) {  // RIFF: a little-endian size after its eight bytes
            next += 8 + (head[4] | std::uint64_t{head[5]} << 8U | std::uint64_t{head[6]} << 16U | std::uint64_t{head[7]} << 24U);
        } else if (big(0, 4) == 0x1A45DFA3 || big(0, 4) == 0x18538067) {  // Matroska: zero bits, a one, then the size
            std::size_t bytes = 1;
            while (bytes < 8 && head[4] < 1U << (8 - bytes)) {
                ++bytes;
            }
            const std::uint64_t mask = (std::uint64_t{1} << (7 * bytes)) - 1, told = big(4, bytes) & mask;
            next += told == mask ? size : 4 + bytes + told;  // all ones: unknown
        } else if (at > 0 || big(4, 4) == 0x66747970) {  // MP4, which begins with ftyp; 0: to the end, 1: in the next eight bytes
            const std::uint64_t told = big(0, 4);
            next += told == 0 ? size - at : told == 1 ? big(8, 8) : told;
        }
        if (next <= at) {
            return false;  // another container
        }
        if (next > size && next - at != size) {
            return true;
        }
        at = next;
    }
    return false;
}

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
        } else if (!capture_.open(name_)) {
            return Error{"cannot read " + name_ + ": no video that this build of OpenCV decodes; convert it to H.264 in MP4"};
        }
        endless_ = is_camera(name_) || (is_stream(name_) && capture_.get(cv::CAP_PROP_FRAME_COUNT) <= 0);
        return std::nullopt;
    }

    double frames_per_second() const {
        const double told = capture_.get(cv::CAP_PROP_FPS);
        return told >= 1.0 && told <= 1000.0 ? told : 25.0;  // cameras may not say
    }

    bool read(cv::Mat& frame) {
        bool found = next(frame);
        Stopwatch watch;
        double gone_s = 0.0;
        for (auto pause = kFirstPause; !found && endless_ && stop_asked == 0 && gone_s < reconnect_s_; pause *= 2) {
            capture_.release();
            std::this_thread::sleep_for(std::min(pause, kLongestPause));
            found = !open() && next(frame);
            endless_ = true;
            gone_s += watch.lap_ms() / 1000;
            if (found) {
                std::fprintf(stderr, "%s dropped out and is back after %.1f s\n", name_.c_str(), gone_s);
            }
        }
        return found;
    }

    // What ended the frames, if it was no proper end.
    std::optional<std::string> fault() const {
        if (endless_) {
            return "dropped out and did not come back" + (reconnect_s_ > 0 ? " in " + std::to_string(std::lround(reconnect_s_)) + " s" : std::string());
        }
        return !is_stream(name_) && ends_early(name_) ? std::optional<std::string>("is truncated") : std::nullopt;
    }

private:
    static constexpr std::chrono::milliseconds kFirstPause{250}, kLongestPause{8000};

    bool next(cv::Mat& frame) { return capture_.read(frame) && !frame.empty(); }

    std::string name_;
    double reconnect_s_;
    bool endless_ = false;
    cv::VideoCapture capture_;
};

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
        stages.start(frames);
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
    const bool stopped = stop_asked != 0 || (command.most_frames > 0 && frames == command.most_frames);
    if (const auto fault = stopped ? std::nullopt : input.fault()) {
        return Error{"got " + std::to_string(frames) + " frames of " + command.input + "; it " + *fault +
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

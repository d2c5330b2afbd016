// The sky in every frame of a video file or of a camera: video_opencv.cpp, or video_none.cpp where no decoder is built
// in.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

struct VideoConfig {
    std::filesystem::path model;
    std::string input;             // a file, or the number of a camera
    std::filesystem::path output;  // ends in .mp4 or .avi; empty: nothing is written
    bool overlay = false;          // frames with the sky in color, in place of masks
    int threads = 1;
    int most_frames = 0;  // 0: all; a camera without a limit goes on until Ctrl-C
};

struct VideoStage {
    std::string name;
    std::vector<double> samples_ms;  // one a frame
};

struct VideoReport {
    int width_px = 0;
    int height_px = 0;
    int frames = 0;
    double seconds = 0.0;
    std::vector<VideoStage> stages;
};

// Every frame stands for itself: nothing is smoothed over time. The output appears only when it is complete.
Result<VideoReport> segment_video(const VideoConfig& config);

}  // namespace skyedge

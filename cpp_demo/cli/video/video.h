// Segments the frames of a video file or camera: video_opencv.cpp, or video_none.cpp in a build without a decoder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

struct VideoConfig {
    std::filesystem::path model;
    std::string input;             // a file, the number of a camera, or the URL of a stream
    std::filesystem::path output;  // ends in .mp4 or .avi; empty: nothing is written
    bool overlay = false;          // write frames with the sky in blue instead of masks
    int threads = 1;
    int most_frames = 0;  // 0: all; a camera then runs until Ctrl-C
};

struct VideoStage {
    std::string name;
    std::vector<double> samples_ms;  // one a frame; of a long video the newest
};

struct VideoReport {
    int width_px = 0;
    int height_px = 0;
    int frames = 0;
    double seconds = 0.0;
    std::vector<VideoStage> stages;
};

// Segments every frame on its own, without smoothing over time. The output file appears when it is complete.
Result<VideoReport> segment_video(const VideoConfig& config);

}  // namespace skyedge

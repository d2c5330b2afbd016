#include "cli/video/video.h"

namespace skyedge {

Result<VideoReport> segment_video(const VideoConfig&) {
    return Error{
        "got skyedge video, but this program was built without a video decoder, as the static one for Arm is; "
        "build it with OpenCV's videoio (Debian: libopencv-videoio-dev), or segment single images"};
}

}  // namespace skyedge

#include "cli/commands.h"

namespace skyedge {

Failure run_video(const VideoCommand&) {
    return Error{
        "got skyedge video, but this program was built without a video decoder, as the static one for Arm is; "
        "build it with OpenCV's videoio (Debian: libopencv-videoio-dev), or segment single images"};
}

}  // namespace skyedge

// Writes the tiny artifact and a picture for cli.cmake: write_tiny_artifact FOLDER PICTURE.png
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "tiny_artifact.h"

int main(int argc, char** argv) {
    if (argc != 3) {
        return 2;
    }
    skyedge::test::write_tiny(argv[1]);
    cv::Mat picture(40, 30, CV_8UC3, cv::Scalar(250, 40, 20));
    picture.rowRange(20, 40).setTo(cv::Scalar(5, 40, 20));
    return cv::imwrite(argv[2], picture) ? 0 : 2;
}

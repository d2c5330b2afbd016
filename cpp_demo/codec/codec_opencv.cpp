#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "codec/codec.h"

namespace skyedge {

const char* const kImageFormats = "JPEG, PNG or WebP";

Result<RawImage> decode(const std::vector<std::uint8_t>& file, int shrink) {
    // UNCHANGED keeps alpha and 16 bits.
    const int scaled = shrink == 8   ? cv::IMREAD_REDUCED_COLOR_8
                       : shrink == 4 ? cv::IMREAD_REDUCED_COLOR_4
                       : shrink == 2 ? cv::IMREAD_REDUCED_COLOR_2
                                     : cv::IMREAD_UNCHANGED;
    auto decoded = std::make_shared<cv::Mat>();
    try {
        *decoded = cv::imdecode(file, shrink > 1 ? scaled | cv::IMREAD_IGNORE_ORIENTATION : scaled);
    } catch (const cv::Exception& error) {
        return Error{error.err};
    }
    if (decoded->empty() || !decoded->isContinuous()) {
        return Error{"not an image, or broken"};
    }
    if (decoded->depth() != CV_8U && decoded->depth() != CV_16U) {
        return Error{"got pixels that are neither 8 nor 16 bit unsigned"};
    }
    RawImage raw;
    raw.width_px = decoded->cols;
    raw.height_px = decoded->rows;
    raw.channels = decoded->channels();
    raw.blue_first = true;
    raw.deep = decoded->depth() == CV_16U;
    raw.has_alpha = raw.channels == 4;
    raw.samples = std::shared_ptr<const void>(decoded, decoded->data);
    return raw;
}

std::optional<std::vector<std::uint8_t>> encode_gray_png(const Mask& mask) {
    // OpenCV only reads from the matrix here.
    const cv::Mat pixels(mask.height_px, mask.width_px, CV_8UC1, const_cast<std::uint8_t*>(mask.values.data()));
    std::vector<std::uint8_t> png;
    try {
        if (cv::imencode(".png", pixels, png, {cv::IMWRITE_PNG_COMPRESSION, 1, cv::IMWRITE_PNG_STRATEGY, cv::IMWRITE_PNG_STRATEGY_RLE})) {
            return png;
        }
    } catch (const cv::Exception&) {
        return std::nullopt;
    }
    return std::nullopt;
}

}  // namespace skyedge

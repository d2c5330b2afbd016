// libFuzzer harness for reading an image file: decoder, EXIF orientation, alpha, 16 bits.
#include <cstddef>
#include <cstdint>

#include "codec/image_io.h"
#include "codec/image_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::vector<std::uint8_t> file(data, data + size);
    if (skyedge::pixel_count(file).value_or(0) > 1U << 20U) {
        return 0;  // large images only take longer
    }
    const skyedge::Result<skyedge::Image> image = skyedge::decode_rgb(file, "input");
    if (image) {
        const skyedge::Image& pixels = image.value();
        const auto count = static_cast<std::size_t>(pixels.width_px) * static_cast<std::size_t>(pixels.height_px);
        if (count == 0 || pixels.rgb.size() != 3 * count) {
            __builtin_trap();
        }
    } else if (image.error().message.empty()) {
        __builtin_trap();
    }
    return 0;
}

#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
// A broken JPEG may use tables that it never sent: stb reads them as they come from the heap, so they come as zeros.
#include <cstdlib>
#define STBI_MALLOC(size) std::calloc(1, size)
#define STBI_REALLOC(memory, size) std::realloc(memory, size)
#define STBI_FREE(memory) std::free(memory)
#define STBI_NO_STDIO
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

#include <limits>

#include "codec/codec.h"
#include "codec/image_header.h"

namespace skyedge {

const char* const kImageFormats = "JPEG or PNG";

Result<RawImage> decode(const std::vector<std::uint8_t>& file, int) {
    if (file.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
        return Error{"the file is larger than 2 GiB"};
    }
    if (has_wrong_huffman_table(file)) {
        return Error{"a Huffman table has more than 256 codes"};
    }
    const auto size = static_cast<int>(file.size());
    RawImage raw;
    if (stbi_info_from_memory(file.data(), size, &raw.width_px, &raw.height_px, &raw.channels) == 0) {
        return Error{"not an image, or broken"};
    }
    raw.deep = stbi_is_16_bit_from_memory(file.data(), size) != 0;
    int* const width = &raw.width_px;
    int* const height = &raw.height_px;
    void* samples =
        raw.deep
            ? static_cast<void*>(stbi_load_16_from_memory(file.data(), size, width, height, &raw.channels, 0))
            : stbi_load_from_memory(file.data(), size, width, height, &raw.channels, 0);
    if (samples == nullptr) {
        return Error{"not an image, or broken (" + std::string(stbi_failure_reason()) + ")"};
    }
    raw.samples = std::shared_ptr<const void>(samples, stbi_image_free);
    raw.has_alpha = raw.channels % 2 == 0;
    return raw;
}

std::optional<std::vector<std::uint8_t>> encode_gray_png(const Mask& mask) {
    int size = 0;
    stbi_write_png_compression_level = 5;  // the fastest
    unsigned char* encoded =
        stbi_write_png_to_mem(mask.values.data(), mask.width_px, mask.width_px, mask.height_px, 1, &size);
    const std::unique_ptr<unsigned char, void (*)(void*)> owner(encoded, std::free);
    if (encoded == nullptr) {
        return std::nullopt;
    }
    return std::vector<std::uint8_t>(encoded, encoded + size);
}

}  // namespace skyedge

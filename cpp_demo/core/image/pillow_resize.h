// Pillow's 8-bit BILINEAR over rows that a source provides, four bytes per pixel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace skyedge {

// Consecutive rows of pixels. Rows of three-byte pixels have one readable byte after their end.
struct PixelRows {
    const std::uint8_t* data = nullptr;
    std::size_t stride = 0;
    int pixel_bytes = 4;  // 3 or 4
};

class RowSource {
public:
    virtual ~RowSource() = default;
    // The rows from `y` to `y + count`, valid until the next call.
    virtual PixelRows rows(int y, int count) = 0;
};

// The triangle filter that resizes a line from in_px to out_px: output pixel i is the sum of `taps` weighted input pixels
// from first[i] on.
struct LineFilter {
    int in_px = 0;
    int out_px = 0;
    int taps = 0;
    std::vector<int> first;
    std::vector<std::int32_t> weights;

    void prepare(int in, int out);
};

// Keeps weights and memory for the next image of the same size.
class RowResizer {
public:
    static constexpr int kStripRows = 32;  // rows requested at once

    // Calls store(y, row) for every row of the resized image, four bytes per pixel.
    template <class Store>
    void resize(RowSource& source, int in_width, int in_height, int out_width, int out_height, const Store& store) {
        resize_columns(source, in_width, in_height, out_width);
        rows_.prepare(in_height, out_height);
        for (int y = 0; y < out_height; ++y) {
            store(y, resize_row(y));
        }
    }

private:
    void resize_columns(RowSource& source, int in_width, int in_height, int out_width);
    const std::uint8_t* resize_row(int y);

    LineFilter columns_;
    LineFilter rows_;
    std::size_t wide_stride_ = 0;
    std::vector<std::uint8_t> wide_;  // after the horizontal pass
    std::vector<std::uint8_t> row_;
    std::vector<std::int32_t> sums_;
};

}  // namespace skyedge

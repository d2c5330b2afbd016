// Pillow's 8-bit BILINEAR over rows that a source hands out, four bytes to a pixel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace skyedge {

// Consecutive rows of pixels. The byte behind every row of three-byte pixels can be read.
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

// The triangle filter of a line that goes from in_px to out_px: `taps` weights for every pixel of the resized line, from
// pixel first[i] of the line on.
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
    static constexpr int kStripRows = 32;  // rows are asked for in strips of this many

    // Calls store(y, row) for every row of the resized image, of four bytes to a pixel.
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

// Writes decoded or resized images as raw bytes, so that tests/cpp_demo/ can compare them with Python's.
// Reads jobs from stdin, one a line: WIDTH HEIGHT INPUT OUTPUT (tab between; 0 0 keeps the decoded size).
// OUTPUT gets "WIDTH HEIGHT\n" and the R, G, B bytes. A line whose image is refused gives its message on stdout.
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "cli/output_file.h"
#include "core/artifact/files.h"
#include "codec/image_io.h"
#include "skyedge/image_ops.h"

int main() {
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        std::string width, height, input, output;
        std::getline(words, width, '\t');
        std::getline(words, height, '\t');
        std::getline(words, input, '\t');
        std::getline(words, output, '\t');
        const skyedge::Result<skyedge::Image> read = skyedge::read_rgb(input);
        if (!read) {
            std::printf("%s\n", read.error().message.c_str());
            continue;
        }
        skyedge::Image image = read.value();
        if (width != "0") {
            image = skyedge::resize_pillow_bilinear(image, std::stoi(width), std::stoi(height));
        }
        const std::string head = std::to_string(image.width_px) + " " + std::to_string(image.height_px) + "\n";
        std::vector<std::uint8_t> bytes(head.begin(), head.end());
        bytes.insert(bytes.end(), image.rgb.begin(), image.rgb.end());
        if (const skyedge::Failure failure = skyedge::write_file(output, bytes)) {
            std::fprintf(stderr, "error: %s\n", failure->message.c_str());
            return 2;
        }
    }
    return 0;
}

// Replaces libFuzzer's main for other compilers: runs a harness once on every file of the given folders.
#include <cstdio>
#include <filesystem>

#include "core/artifact/files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
    int count = 0;
    for (int i = 1; i < argc; ++i) {
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            const auto file = skyedge::read_file(entry.path());
            if (!file) {
                std::fprintf(stderr, "error: %s\n", file.error().message.c_str());
                return 2;
            }
            // Printed before the run, so that the input of a crash is known.
            std::fprintf(stderr, "%s\n", entry.path().c_str());
            LLVMFuzzerTestOneInput(file.value().data(), file.value().size());
            ++count;
        }
    }
    std::printf("%d inputs\n", count);
    return count > 0 ? 0 : 2;
}

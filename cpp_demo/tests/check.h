// Checks for unit tests: they count failures and print where they failed.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace skyedge::test {

inline int failures = 0;

inline void check(bool good, const std::string& what, const char* file, int line) {
    if (!good) {
        std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
        ++failures;
    }
}

// Checks that `text` contains `part`, and prints both if not.
inline void check_holds(const std::string& text, const std::string& part, const char* file, int line) {
    check(text.find(part) != std::string::npos, "got '" + text + "', expected it to hold '" + part + "'", file, line);
}

inline int finish() {
    if (failures > 0) {
        std::fprintf(stderr, "%d checks failed\n", failures);
    }
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

// A temporary folder, removed at the end of the test.
class ScratchFolder {
public:
    ScratchFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "skyedge-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) {
            std::perror(name.c_str());
            std::exit(EXIT_FAILURE);
        }
        path_ = name;
    }
    ~ScratchFolder() {
        std::error_code code;
        std::filesystem::remove_all(path_, code);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

inline void write_text(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

}  // namespace skyedge::test

#define CHECK(condition) skyedge::test::check((condition), #condition, __FILE__, __LINE__)
#define CHECK_HOLDS(text, part) skyedge::test::check_holds((text), (part), __FILE__, __LINE__)

#include "cli/output_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace skyedge {

Failure write_file(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes) {
    std::filesystem::path partial = path;
    partial += "." + std::to_string(::getpid()) + ".partial";
    std::FILE* const file = std::fopen(partial.c_str(), "wbx");
    bool good = file != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() &&
                std::fflush(file) == 0 && ::fsync(::fileno(file)) == 0;
    int code = good ? 0 : errno;
    if (file != nullptr && std::fclose(file) != 0 && good) {  // some file systems report a failed write only here
        good = false;
        code = errno;
    }
    if (good && std::rename(partial.c_str(), path.c_str()) == 0) {
        return std::nullopt;
    }
    code = good ? errno : code;
    if (file != nullptr) {
        ::unlink(partial.c_str());
    }
    return Error{"cannot write " + path.string() + ": " + std::strerror(code) + "; choose a place that exists, has room and may be written",
                 ErrorCode::kFile};
}

}  // namespace skyedge

#include "core/artifact/files.h"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <system_error>

namespace skyedge {

namespace fs = std::filesystem;

Result<std::vector<std::uint8_t>> read_file(const fs::path& path, std::uint64_t most_bytes) {
    const auto fault = [&](const std::string& text) { return Error{text, ErrorCode::kFile}; };
    std::error_code code;
    const fs::file_status status = fs::status(path, code);
    if (!fs::exists(status)) {
        return fault("cannot read " + path.string() + ": " + code.message() +
                     "; give the path of a file that exists and may be read");
    }
    if (!fs::is_regular_file(status)) {
        return fault("got " + path.string() + ", which is not a regular file; give the path of a file");
    }
    const std::uintmax_t size_bytes = fs::file_size(path, code);
    if (code) {
        return fault("cannot read " + path.string() + ": " + code.message() + "; check the disk");
    }
    if (size_bytes > most_bytes) {
        return fault(path.string() + ": got " + std::to_string(size_bytes) + " bytes, expected " +
                     std::to_string(most_bytes) + " at most; give another file");
    }
#ifdef _WIN32
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(::_wfopen(path.c_str(), L"rb"), std::fclose);
#elif defined(__linux__)
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
#else
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
#endif
    if (file == nullptr) {
        const std::string why = std::error_code(errno, std::generic_category()).message();
        return fault("cannot read " + path.string() + ": " + why + "; give the path of a file that may be read");
    }
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size_bytes));
    if (std::fread(bytes.data(), 1, bytes.size(), file.get()) != bytes.size()) {
        return fault(std::ferror(file.get()) != 0
                         ? "cannot read " + path.string() + "; check the disk"
                         : path.string() + " became shorter while it was read; run again when nothing writes to it");
    }
    return bytes;
}

}  // namespace skyedge

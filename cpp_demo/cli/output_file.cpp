#include "cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace skyedge {
namespace {

namespace fs = std::filesystem;

// A file descriptor that closes itself.
class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) {
            ::close(number_);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int number() const { return number_; }
    bool open() const { return number_ >= 0; }

    // Closes now; some file systems report a failed write only here.
    bool close() {
        const int number = number_;
        number_ = -1;
        return ::close(number) == 0;
    }

private:
    int number_;
};

Error system_error(const std::string& what, const fs::path& path, const std::string& next) {
    const int code = errno;
    return Error{what + " " + path.string() + ": " + std::strerror(code) + "; " + next, ErrorCode::kFile};
}

bool write_all(int descriptor, const std::vector<std::uint8_t>& bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = ::write(descriptor, bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return false;
        }
        done += static_cast<std::size_t>(count);
    }
    return true;
}

}  // namespace

Failure write_file(const fs::path& path, const std::vector<std::uint8_t>& bytes) {
    fs::path partial = path;
    partial += "." + std::to_string(::getpid()) + ".partial";
    const std::string next = "choose a place that exists, has room and may be written";
    Descriptor file(::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file.open()) {
        return system_error("cannot write", path, next);
    }
    if (write_all(file.number(), bytes) && ::fsync(file.number()) == 0 && file.close() &&
        ::rename(partial.c_str(), path.c_str()) == 0) {
        return std::nullopt;
    }
    Error error = system_error("cannot write", path, next);
    ::unlink(partial.c_str());
    return error;
}

}  // namespace skyedge

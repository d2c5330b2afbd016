// The result of a function that can fail: its value, or an error to show to the user.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace skyedge {

// The kind of an error. The numbers are those of skyedge.h and stay as they are.
enum class ErrorCode : int {
    kArgument = 1,     // an invalid frame, mask or option
    kFile = 2,         // a file that cannot be read or written
    kArtifact = 3,     // an artifact that is damaged or of another format
    kNetwork = 4,      // the network failed, or its output is no probability
    kMemory = 5,       // out of memory
    kUnsupported = 6,  // a feature that this build lacks
};

// One line for the user: what was got, what was expected, what to do next.
struct Error {
    std::string message;
    ErrorCode code = ErrorCode::kArgument;
};

// Either a T or an Error. Test it before `value()` or `error()`; neither throws.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::move(value)) {}
    Result(Error error) : state_(std::move(error)) {}

    explicit operator bool() const { return std::holds_alternative<T>(state_); }
    T& value() { return *std::get_if<T>(&state_); }
    const T& value() const { return *std::get_if<T>(&state_); }
    const Error& error() const { return *std::get_if<Error>(&state_); }

private:
    std::variant<T, Error> state_;
};

// The result of a function without a value: empty if it succeeded.
using Failure = std::optional<Error>;

}  // namespace skyedge

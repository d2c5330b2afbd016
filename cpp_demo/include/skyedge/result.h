// What a function that can fail returns: its value, or an error to show to the user.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace skyedge {

// One line for the user: what was got, what was expected, what to do next.
struct Error {
    std::string message;
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

// The result of a function without a value: empty where all went well.
using Failure = std::optional<Error>;

}  // namespace skyedge

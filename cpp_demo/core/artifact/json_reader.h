// Strict reading of JSON: nlohmann's parser with limits, because model.json comes from strangers; then objects whose every key is
// known and present, and whose every value has its type.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>

#include "skyedge/result.h"

namespace skyedge {

using Json = nlohmann::json;

// Greatest nesting of lists and objects.
constexpr int kMostJsonDepth = 64;

// Parses `text` (UTF-8), which must hold one value and nothing else. An object must not have a key twice.
Result<Json> parse_json(const std::string& text);

// Returns the value as JSON text for a message, cut after 80 bytes.
std::string shown(const Json& value);

// Returns a number without fraction and exponent that fits into 64 bits; nothing for any other value.
std::optional<std::int64_t> whole_number(const Json& value);

// What is wrong with a file; parse_model_spec returns it as an Error.
class SpecFault : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Reads one object whose keys must be exactly `keys`. Throws a SpecFault for whatever is not as it must be.
class ObjectReader {
public:
    ObjectReader(const Json& value, std::string path, std::initializer_list<const char*> keys);

    const Json& at(const char* key) const;  // null if there is no such key
    ObjectReader object(const char* key, std::initializer_list<const char*> keys) const;
    void free_object(const char* key) const;  // an object that may hold anything

    std::string text(const char* key) const;  // not empty
    std::string text(const char* key, std::initializer_list<const char*> allowed) const;
    std::string file_name(const char* key) const;  // stays inside the folder
    std::string sha256(const char* key) const;
    double number(const char* key, double low, double high) const;
    std::int64_t integer(const char* key, std::int64_t low, std::int64_t high) const;

    std::string path_of(const char* key) const;
    [[noreturn]] void fault(const char* key, const std::string& expected) const;  // "got" is the value at `key`

private:
    template <class Good>
    std::string checked_text(const char* key, const Good& good, const std::string& expected) const;

    const Json* value_;
    std::string path_;
};

}  // namespace skyedge

// Strict reading of JSON: nlohmann's parser with limits, because model.json comes from strangers; then objects whose every key is
// known and present, and whose every value has its type. The first fault is kept.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
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

// Keeps the first fault; later ones often follow from it.
class Faults {
public:
    // Adds the fault that `key` holds `got` instead of `expected`.
    void add(const std::string& key, const std::string& got, const std::string& expected);
    void add(std::string message);

    const Failure& first() const { return first_; }

private:
    Failure first_;
};

// Reads one object whose keys must be exactly `keys`. After a fault its functions return empty values, so the caller can
// read on and check `Faults` once at the end.
class ObjectReader {
public:
    ObjectReader(const Json& value, std::string path, std::initializer_list<const char*> keys,
                 Faults& faults);

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
    void fault(const char* key, const std::string& expected) const;  // "got" is the value at `key`

private:
    template <class Good>
    std::string checked_text(const char* key, const Good& good, const std::string& expected) const;

    const Json* value_;
    std::string path_;
    Faults* faults_;
};

}  // namespace skyedge

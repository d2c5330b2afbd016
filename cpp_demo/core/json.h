// A small JSON parser (RFC 8259), strict: model.json comes from strangers.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

struct Json {
    enum class Kind { kNull, kBool, kInteger, kNumber, kText, kList, kObject };

    Kind kind = Kind::kNull;
    bool boolean = false;
    std::int64_t integer = 0;  // of kInteger: a number without fraction or exponent that fits
    double number = 0.0;       // of kInteger and kNumber
    std::string text;          // UTF-8
    std::vector<Json> items;
    std::vector<std::string> keys;  // of kObject, one for each item

    bool is_number() const { return kind == Kind::kInteger || kind == Kind::kNumber; }

    // The value under `key`; null where this is no object or has no such key.
    const Json* find(const std::string& key) const;

    // The value as JSON text for a message, cut where it is long.
    std::string shown() const;
};

// Lists and objects may be nested this deep; more would endanger the stack.
constexpr int kMostJsonDepth = 64;

// Parses one value that fills `text`. Refuses invalid UTF-8, keys that occur twice and deep nesting.
Result<Json> parse_json(const std::string& text);

}  // namespace skyedge

// A small strict JSON parser (RFC 8259), so that the core needs ncnn alone. It limits depth and refuses repeated keys and
// invalid UTF-8, because model.json comes from strangers.
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
    std::int64_t integer = 0;  // of kInteger: no fraction, no exponent, fits into 64 bits
    double number = 0.0;       // of kInteger and kNumber
    std::string text;          // UTF-8
    std::vector<Json> items;
    std::vector<std::string> keys;  // of kObject, one for each item

    bool is_number() const { return kind == Kind::kInteger || kind == Kind::kNumber; }

    // Returns the value under `key`; nullptr if this is no object or has no such key.
    const Json* find(const std::string& key) const;

    // Returns the value as JSON text for a message, cut after 80 bytes.
    std::string shown() const;
};

// Greatest nesting of lists and objects; the parser is recursive, so more could overflow the stack.
constexpr int kMostJsonDepth = 64;

// Parses `text`, which must hold one value and nothing else.
Result<Json> parse_json(const std::string& text);

}  // namespace skyedge

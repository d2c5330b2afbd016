#include "core/artifact/json.h"

#include <algorithm>
#include <cstddef>
#include <locale>
#include <sstream>
#include <string_view>

#include "core/artifact/utf8.h"

namespace skyedge {
namespace {

constexpr std::size_t kMostShown = 80;

void show(const Json& value, std::string& out);

void show_text(const std::string& text, std::string& out) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20U) {
            out += std::string("\\u00") + kDigits[byte >> 4U] + kDigits[byte & 15U];
        } else {
            out += c;
        }
    }
    out += '"';
}

void show_items(const Json& value, std::string& out) {
    const bool object = value.kind == Json::Kind::kObject;
    out += object ? '{' : '[';
    for (std::size_t i = 0; i < value.items.size() && out.size() <= kMostShown; ++i) {
        out += i == 0 ? "" : ",";
        if (object) {
            show_text(value.keys[i], out);
            out += ':';
        }
        show(value.items[i], out);
    }
    out += object ? '}' : ']';
}

void show(const Json& value, std::string& out) {
    switch (value.kind) {
        case Json::Kind::kNull:
            out += "null";
            return;
        case Json::Kind::kBool:
            out += value.boolean ? "true" : "false";
            return;
        case Json::Kind::kInteger:
            out += std::to_string(value.integer);
            return;
        case Json::Kind::kNumber: {
            std::ostringstream writer;
            writer.imbue(std::locale::classic());
            writer << value.number;
            out += writer.str();
            return;
        }
        case Json::Kind::kText:
            show_text(value.text, out);
            return;
        default:
            show_items(value, out);
    }
}

}  // namespace

const Json* Json::find(const std::string& key) const {
    const auto found = std::find(keys.begin(), keys.end(), key);
    return found == keys.end() ? nullptr : &items[static_cast<std::size_t>(found - keys.begin())];
}

std::string Json::shown() const {
    std::string whole;
    show(*this, whole);
    if (whole.size() <= kMostShown) {
        return whole;
    }
    std::size_t end = 0;  // cuts between characters
    for (std::size_t next = 0; next <= kMostShown; next += std::max<std::size_t>(1, utf8_length(whole, next))) {
        end = next;
    }
    return whole.substr(0, end) + "...";
}

}  // namespace skyedge

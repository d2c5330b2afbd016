#include "core/artifact/json.h"

#include <cstddef>
#include <locale>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

#include "core/artifact/utf8.h"

namespace skyedge {
namespace {

void append_utf8(unsigned code, std::string& out) {
    const auto put = [&](unsigned byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (code < 0x80U) {
        put(code);
    } else if (code < 0x800U) {
        put(0xC0U | code >> 6U);
        put(0x80U | (code & 0x3FU));
    } else if (code < 0x10000U) {
        put(0xE0U | code >> 12U);
        put(0x80U | (code >> 6U & 0x3FU));
        put(0x80U | (code & 0x3FU));
    } else {
        put(0xF0U | code >> 18U);
        put(0x80U | (code >> 12U & 0x3FU));
        put(0x80U | (code >> 6U & 0x3FU));
        put(0x80U | (code & 0x3FU));
    }
}

double to_double(const std::string& digits) {
    std::istringstream reader(digits);
    reader.imbue(std::locale::classic());
    double number = 0.0;
    reader >> number;  // an overflow gives the largest double
    return number;
}

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) {}

    Result<Json> parse() {
        Json value;
        const bool good = read_value(value, 0);
        skip_space();
        if (good && at_ != text_.size()) {
            fail("text that is not JSON");
        }
        if (failure_) {
            return Error{"got " + *failure_ + ", expected a model.json; copy or export the artifact again",
                         ErrorCode::kArtifact};
        }
        return value;
    }

private:
    bool fail(const std::string& got) {
        if (!failure_) {
            failure_ = got;
        }
        return false;
    }
    bool fail() { return fail("text that is not JSON"); }

    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char c) {
        const bool there = at_ < text_.size() && text_[at_] == c;
        at_ += there ? 1 : 0;
        return there;
    }
    bool take_word(std::string_view word) {
        const bool there = text_.substr(at_, word.size()) == word;
        at_ += there ? word.size() : 0;
        return there || fail();
    }
    void skip_space() {
        while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
            ++at_;
        }
    }

    bool read_value(Json& value, int depth) {
        skip_space();
        switch (peek()) {
            case '{':
            case '[':
                if (depth >= kMostJsonDepth) {
                    return fail("lists and objects nested more than " + std::to_string(kMostJsonDepth) + " deep");
                }
                return peek() == '{' ? read_object(value, depth + 1) : read_list(value, depth + 1);
            case '"':
                value.kind = Json::Kind::kText;
                return read_text(value.text);
            case 't':
                value.kind = Json::Kind::kBool;
                value.boolean = true;
                return take_word("true");
            case 'f':
                value.kind = Json::Kind::kBool;
                return take_word("false");
            case 'n':
                return take_word("null");
            default:
                return read_number(value);
        }
    }

    bool read_list(Json& value, int depth) {
        value.kind = Json::Kind::kList;
        take('[');
        skip_space();
        if (take(']')) {
            return true;
        }
        do {
            value.items.emplace_back();
            if (!read_value(value.items.back(), depth)) {
                return false;
            }
            skip_space();
        } while (take(','));
        return take(']') || fail();
    }

    bool read_object(Json& value, int depth) {
        value.kind = Json::Kind::kObject;
        take('{');
        skip_space();
        if (take('}')) {
            return true;
        }
        std::set<std::string> seen;
        do {
            skip_space();
            std::string key;
            if (!read_text(key)) {
                return false;
            }
            skip_space();
            if (!take(':')) {
                return fail();
            }
            if (!seen.insert(key).second) {
                return fail("the key '" + key + "' twice");
            }
            value.keys.push_back(std::move(key));
            value.items.emplace_back();
            if (!read_value(value.items.back(), depth)) {
                return false;
            }
            skip_space();
        } while (take(','));
        return take('}') || fail();
    }

    std::optional<unsigned> read_hex4() {
        unsigned code = 0;
        for (int i = 0; i < 4; ++i, ++at_) {
            const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(peek());
            if (at_ >= text_.size() || digit == std::string_view::npos) {
                return std::nullopt;
            }
            code = code * 16U + static_cast<unsigned>(digit < 16 ? digit : digit - 6);
        }
        return code;
    }

    bool read_escape(std::string& out) {
        constexpr std::string_view kNames = "\"\\/bfnrt";
        constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
        if (take('u')) {
            std::optional<unsigned> code = read_hex4();
            if (code && *code >= 0xD800U && *code < 0xDC00U) {  // the first half of a surrogate pair
                const bool marked = take('\\') && take('u');
                const std::optional<unsigned> low = marked ? read_hex4() : std::nullopt;
                const bool paired = low && *low >= 0xDC00U && *low < 0xE000U;
                code = paired ? std::optional(0x10000U + ((*code - 0xD800U) << 10U) + (*low - 0xDC00U)) : std::nullopt;
            } else if (code && *code >= 0xDC00U && *code < 0xE000U) {
                code = std::nullopt;
            }
            if (!code) {
                return fail();
            }
            append_utf8(*code, out);
            return true;
        }
        const std::size_t index = at_ < text_.size() ? kNames.find(text_[at_]) : std::string_view::npos;
        if (index == std::string_view::npos) {
            return fail();
        }
        out += kValues[index];
        ++at_;
        return true;
    }

    bool read_text(std::string& out) {
        if (!take('"')) {
            return fail();
        }
        while (!take('"')) {
            if (take('\\')) {
                if (!read_escape(out)) {
                    return false;
                }
                continue;
            }
            const std::size_t length = utf8_length(text_, at_);
            if (at_ >= text_.size() || length == 0 || static_cast<unsigned char>(text_[at_]) < 0x20U) {
                return fail();
            }
            out += text_.substr(at_, length);
            at_ += length;
        }
        return true;
    }

    std::size_t skip_digits() {
        const std::size_t start = at_;
        while (peek() >= '0' && peek() <= '9') {
            ++at_;
        }
        return at_ - start;
    }

    bool read_number(Json& value) {
        const std::size_t start = at_;
        take('-');
        const bool zero = peek() == '0';
        const std::size_t digits = skip_digits();
        if (digits == 0 || (zero && digits > 1)) {
            return fail();
        }
        bool whole = digits <= 18;  // 18 digits fit into 64 bits; no key needs more
        if (take('.')) {
            whole = false;
            if (skip_digits() == 0) {
                return fail();
            }
        }
        if (take('e') || take('E')) {
            whole = false;
            take('+') || take('-');
            if (skip_digits() == 0) {
                return fail();
            }
        }
        const std::string number(text_.substr(start, at_ - start));
        value.number = to_double(number);
        value.kind = whole ? Json::Kind::kInteger : Json::Kind::kNumber;
        value.integer = whole ? std::stoll(number) : 0;
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::optional<std::string> failure_;
};

}  // namespace

Result<Json> parse_json(const std::string& text) { return Parser(text).parse(); }

}  // namespace skyedge

#include "core/artifact/json_reader.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace skyedge {
namespace {

constexpr std::size_t kMostShown = 80;

bool is_plain_name(std::string_view name) {
    const auto is_word = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    };
    return !name.empty() && is_word(name.front()) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

bool is_sha256(std::string_view text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string listed(std::initializer_list<const char*> names) {
    std::string text;
    for (const char* name : names) {
        text += (text.empty() ? "" : ", ") + std::string(name);
    }
    return text;
}

}  // namespace

Result<Json> parse_json(const std::string& text) {
    using Event = Json::parse_event_t;
    std::string fault;
    std::vector<std::set<std::string>> keys;  // of the objects that are open
    // Called for every part; what it refuses takes no memory. The parser does not recurse.
    const auto watch = [&](int depth, Event event, const Json& value) {
        if (!fault.empty()) {
            return false;
        }
        if ((event == Event::object_start || event == Event::array_start) && depth >= kMostJsonDepth) {
            fault = "lists and objects nested more than " + std::to_string(kMostJsonDepth) + " deep";
        } else if (event == Event::object_start) {
            keys.emplace_back();
        } else if (event == Event::object_end) {
            keys.pop_back();
        } else if (event == Event::key && !keys.back().insert(value.get<std::string>()).second) {
            fault = "the key '" + value.get<std::string>() + "' twice";
        }
        return fault.empty();
    };
    const bool marked = text.compare(0, 3, "\xEF\xBB\xBF") == 0;  // nlohmann skips a byte order mark
    Json value = marked ? Json(Json::value_t::discarded) : Json::parse(text, watch, /*allow_exceptions=*/false);
    if (!fault.empty() || value.is_discarded()) {
        return Error{"got " + (fault.empty() ? "text that is not JSON" : fault) +
                         ", expected a model.json; copy or export the artifact again",
                     ErrorCode::kArtifact};
    }
    return value;
}

std::string shown(const Json& value) {
    const std::string whole = value.dump();
    if (whole.size() <= kMostShown) {
        return whole;
    }
    std::size_t end = kMostShown;  // cuts between characters
    while ((static_cast<unsigned char>(whole[end]) & 0xC0U) == 0x80U) {
        --end;
    }
    return whole.substr(0, end) + "...";
}

std::optional<std::int64_t> whole_number(const Json& value) {
    const bool large = value.is_number_unsigned() &&
                       value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return value.is_number_integer() && !large ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

ObjectReader::ObjectReader(const Json& value, std::string path, std::initializer_list<const char*> keys)
    : value_(&value), path_(std::move(path)) {
    if (!value.is_object()) {
        throw SpecFault((path_.empty() ? "the whole file" : path_) + ": got " + shown(value) + ", expected an object");
    }
    const std::string rest = "; expected " + listed(keys) + (path_.empty() ? "" : " in " + path_) + ", no others";
    for (const auto& item : value.items()) {
        if (std::find(keys.begin(), keys.end(), item.key()) == keys.end()) {
            throw SpecFault("unknown key " + path_of(item.key().c_str()) + rest);
        }
    }
    for (const char* key : keys) {
        if (!value.contains(key)) {
            throw SpecFault("missing key " + path_of(key) + rest);
        }
    }
}

const Json& ObjectReader::at(const char* key) const { return value_->at(key); }

ObjectReader ObjectReader::object(const char* key, std::initializer_list<const char*> keys) const {
    return {at(key), path_of(key), keys};
}

void ObjectReader::free_object(const char* key) const {
    if (!at(key).is_object()) {
        fault(key, "an object");
    }
}

template <class Good>
std::string ObjectReader::checked_text(const char* key, const Good& good, const std::string& expected) const {
    const auto* text = at(key).get_ptr<const std::string*>();
    if (text == nullptr || !good(*text)) {
        fault(key, expected);
    }
    return *text;
}

std::string ObjectReader::text(const char* key) const {
    return checked_text(key, [](const std::string& text) { return !text.empty(); }, "a text that is not empty");
}

std::string ObjectReader::text(const char* key, std::initializer_list<const char*> allowed) const {
    const auto known = [&](const std::string& text) { return std::find(allowed.begin(), allowed.end(), text) != allowed.end(); };
    return checked_text(key, known, (allowed.size() > 1 ? "one of " : "") + listed(allowed));
}

std::string ObjectReader::file_name(const char* key) const {
    return checked_text(key, is_plain_name, "a plain file name inside the artifact");
}

std::string ObjectReader::sha256(const char* key) const { return checked_text(key, is_sha256, "64 lower-case hex digits"); }

double ObjectReader::number(const char* key, double low, double high) const {
    const Json& value = at(key);
    const double number = value.is_number() ? value.get<double>() : low - 1;
    if (!(number >= low && number <= high)) {
        fault(key, "a number from " + shown(low) + " to " + shown(high));
    }
    return number;
}

std::int64_t ObjectReader::integer(const char* key, std::int64_t low, std::int64_t high) const {
    const std::optional<std::int64_t> number = whole_number(at(key));
    if (!number || *number < low || *number > high) {
        fault(key, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    }
    return *number;
}

std::string ObjectReader::path_of(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

void ObjectReader::fault(const char* key, const std::string& expected) const {
    throw SpecFault(path_of(key) + ": got " + shown(at(key)) + ", expected " + expected);
}

}  // namespace skyedge

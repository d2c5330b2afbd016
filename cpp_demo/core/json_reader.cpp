#include "core/json_reader.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace skyedge {
namespace {

using nlohmann::json;

const json& nothing() {
    static const json value;
    return value;
}

// The value as JSON, short enough for a message.
std::string shown(const json& value) {
    constexpr std::size_t kMost = 80;
    std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
    return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
}

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

Result<json> parse_json(const std::string& text) {
    std::vector<std::set<std::string>> open;  // keys seen so far, per object that is open
    std::string twice;
    const auto watch = [&](int, json::parse_event_t event, json& parsed) {
        if (event == json::parse_event_t::object_start) {
            open.emplace_back();
        } else if (event == json::parse_event_t::object_end) {
            open.pop_back();
        } else if (event == json::parse_event_t::key && !open.back().insert(parsed.get_ref<std::string&>()).second) {
            twice = parsed.get_ref<std::string&>();
        }
        return true;
    };
    json value = json::parse(text, watch, false);
    if (value.is_discarded()) {
        return Error{"got text that is not JSON, expected a model.json; copy or export the artifact again"};
    }
    if (!twice.empty()) {
        return Error{"got the key '" + twice + "' twice, expected every key once"};
    }
    return value;
}

void Faults::add(std::string message) {
    if (!first_) {
        first_ = Error{std::move(message)};
    }
}

void Faults::add(const std::string& key, const std::string& got, const std::string& expected) {
    add(key + ": got " + got + ", expected " + expected);
}

ObjectReader::ObjectReader(const json& value, std::string path, std::initializer_list<const char*> keys, Faults& faults)
    : value_(&value), path_(std::move(path)), faults_(&faults) {
    if (!value.is_object()) {
        faults.add(path_.empty() ? "the whole file" : path_, shown(value), "an object");
        value_ = &nothing();
        return;
    }
    const std::string rest = "; expected " + listed(keys) + (path_.empty() ? "" : " in " + path_) + ", no others";
    for (const auto& item : value.items()) {
        if (std::find(keys.begin(), keys.end(), item.key()) == keys.end()) {
            faults.add("unknown key " + path_of(item.key().c_str()) + rest);
        }
    }
    for (const char* key : keys) {
        if (!value.contains(key)) {
            faults.add("missing key " + path_of(key) + rest);
        }
    }
}

const json& ObjectReader::at(const char* key) const {
    const auto found = value_->find(key);
    return found == value_->end() ? nothing() : *found;
}

ObjectReader ObjectReader::object(const char* key, std::initializer_list<const char*> keys) const {
    return {at(key), path_of(key), keys, *faults_};
}

void ObjectReader::free_object(const char* key) const {
    if (!at(key).is_object()) {
        fault(key, "an object");
    }
}

std::string ObjectReader::text(const char* key) const {
    const json& value = at(key);
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
        fault(key, "a text that is not empty");
        return {};
    }
    return value.get<std::string>();
}

std::string ObjectReader::text(const char* key, std::initializer_list<const char*> allowed) const {
    const json& value = at(key);
    if (!value.is_string() ||
        std::find(allowed.begin(), allowed.end(), value.get_ref<const std::string&>()) == allowed.end()) {
        fault(key, (allowed.size() > 1 ? "one of " : "") + listed(allowed));
        return {};
    }
    return value.get<std::string>();
}

std::string ObjectReader::file_name(const char* key) const {
    const json& value = at(key);
    if (!value.is_string() || !is_plain_name(value.get_ref<const std::string&>())) {
        fault(key, "a plain file name inside the artifact");
        return {};
    }
    return value.get<std::string>();
}

std::string ObjectReader::sha256(const char* key) const {
    const json& value = at(key);
    if (!value.is_string() || !is_sha256(value.get_ref<const std::string&>())) {
        fault(key, "64 lower-case hex digits");
        return {};
    }
    return value.get<std::string>();
}

double ObjectReader::number(const char* key, double low, double high) const {
    const json& value = at(key);
    if (!value.is_number() || !(value.get<double>() >= low && value.get<double>() <= high)) {
        fault(key, "a number from " + json(low).dump() + " to " + json(high).dump());
        return low;
    }
    return value.get<double>();
}

std::int64_t ObjectReader::integer(const char* key, std::int64_t low, std::int64_t high) const {
    const json& value = at(key);
    // Unsigned values above the signed range are too large for any of our keys.
    const bool fits = value.is_number_unsigned() ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX)
                                                 : value.is_number_integer();
    if (!fits || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
        fault(key, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
        return low;
    }
    return value.get<std::int64_t>();
}

std::string ObjectReader::path_of(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

void ObjectReader::fault(const char* key, const std::string& expected) const {
    faults_->add(path_of(key), shown(at(key)), expected);
}

}  // namespace skyedge

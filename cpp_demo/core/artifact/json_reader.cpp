#include "core/artifact/json_reader.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace skyedge {
namespace {

const Json& nothing() {
    static const Json value;
    return value;
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

void Faults::add(std::string message) {
    if (!first_) {
        first_ = Error{std::move(message), ErrorCode::kArtifact};
    }
}

void Faults::add(const std::string& key, const std::string& got, const std::string& expected) {
    add(key + ": got " + got + ", expected " + expected);
}

ObjectReader::ObjectReader(const Json& value, std::string path, std::initializer_list<const char*> keys, Faults& faults)
    : value_(&value), path_(std::move(path)), faults_(&faults) {
    if (value.kind != Json::Kind::kObject) {
        faults.add(path_.empty() ? "the whole file" : path_, value.shown(), "an object");
        value_ = &nothing();
        return;
    }
    const std::string rest = "; expected " + listed(keys) + (path_.empty() ? "" : " in " + path_) + ", no others";
    for (const std::string& key : value.keys) {
        if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
            faults.add("unknown key " + path_of(key.c_str()) + rest);
        }
    }
    for (const char* key : keys) {
        if (value.find(key) == nullptr) {
            faults.add("missing key " + path_of(key) + rest);
        }
    }
}

const Json& ObjectReader::at(const char* key) const {
    const Json* found = value_->find(key);
    return found == nullptr ? nothing() : *found;
}

ObjectReader ObjectReader::object(const char* key, std::initializer_list<const char*> keys) const {
    return {at(key), path_of(key), keys, *faults_};
}

void ObjectReader::free_object(const char* key) const {
    if (at(key).kind != Json::Kind::kObject) {
        fault(key, "an object");
    }
}

std::string ObjectReader::text(const char* key) const {
    const Json& value = at(key);
    if (value.kind != Json::Kind::kText || value.text.empty()) {
        fault(key, "a text that is not empty");
        return {};
    }
    return value.text;
}

std::string ObjectReader::text(const char* key, std::initializer_list<const char*> allowed) const {
    const Json& value = at(key);
    if (value.kind != Json::Kind::kText ||
        std::find(allowed.begin(), allowed.end(), value.text) == allowed.end()) {
        fault(key, (allowed.size() > 1 ? "one of " : "") + listed(allowed));
        return {};
    }
    return value.text;
}

std::string ObjectReader::file_name(const char* key) const {
    const Json& value = at(key);
    if (value.kind != Json::Kind::kText || !is_plain_name(value.text)) {
        fault(key, "a plain file name inside the artifact");
        return {};
    }
    return value.text;
}

std::string ObjectReader::sha256(const char* key) const {
    const Json& value = at(key);
    if (value.kind != Json::Kind::kText || !is_sha256(value.text)) {
        fault(key, "64 lower-case hex digits");
        return {};
    }
    return value.text;
}

double ObjectReader::number(const char* key, double low, double high) const {
    const Json& value = at(key);
    if (!value.is_number() || !(value.number >= low && value.number <= high)) {
        const auto text = [](double value_of) {
            return Json{Json::Kind::kNumber, false, 0, value_of, {}, {}, {}}.shown();
        };
        fault(key, "a number from " + text(low) + " to " + text(high));
        return low;
    }
    return value.number;
}

std::int64_t ObjectReader::integer(const char* key, std::int64_t low, std::int64_t high) const {
    const Json& value = at(key);
    if (value.kind != Json::Kind::kInteger || value.integer < low || value.integer > high) {
        fault(key, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
        return low;
    }
    return value.integer;
}

std::string ObjectReader::path_of(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

void ObjectReader::fault(const char* key, const std::string& expected) const {
    faults_->add(path_of(key), at(key).shown(), expected);
}

}  // namespace skyedge

// Strict reading of JSON objects: every key is known and present, every value has its type. The first fault is kept.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "core/artifact/json.h"
#include "skyedge/result.h"

namespace skyedge {

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

    const Json& at(const char* key) const;
    bool is_null(const char* key) const { return at(key).kind == Json::Kind::kNull; }
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
    const Json* value_;
    std::string path_;
    Faults* faults_;
};

}  // namespace skyedge

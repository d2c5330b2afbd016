// The JSON parser: what it reads, and what it refuses.
#include "tests/check.h"
#include "core/artifact/json_reader.h"

namespace {

using skyedge::Json;
using skyedge::parse_json;
using skyedge::shown;
using skyedge::whole_number;

std::string refusal(const std::string& text) {
    const auto parsed = parse_json(text);
    CHECK(!parsed);
    return parsed ? "" : parsed.error().message;
}

void test_values() {
    auto parsed = parse_json(
        " {\"a\": [1, -2.5e1, true, false, null], \"\\u00e9\\ud83d\\ude00\\n\": \"\xC3\xA9\", \"o\": {}, \"l\": [ ]} ");
    CHECK(static_cast<bool>(parsed));
    if (!parsed) {
        return;
    }
    const Json list = parsed.value()["a"];
    CHECK(list.size() == 5 && whole_number(list[0]) == 1);
    CHECK(!whole_number(list[1]) && list[1] == -25.0 && list[2] == true && list[4].is_null());
    CHECK(parsed.value()["\xC3\xA9\xF0\x9F\x98\x80\n"] == "\xC3\xA9");
    CHECK(!parsed.value().contains("missing") && parsed.value()["o"].empty());
    CHECK_HOLDS(shown(parsed.value()), "{\"a\":[1,-25.0,true,false,null]");
    const auto large = parse_json("12345678901234567890");
    CHECK(large && large.value().is_number() && !whole_number(large.value()));
}

void test_refusals() {
    for (const char* text : {"", "{", "[1,]", "{\"a\":1,}", "{a:1}", "01", "1.", "-", "+1", "1e", "nul", "[1] 2", "'a'",
                             "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "NaN", "Infinity",
                             "\"a\nb\"", "\"\xFF\"", "\"\xC0\xAF\"", "\"\xED\xA0\x80\"", "\xEF\xBB\xBF{}", "[1 2]", "{\"a\" 1}"}) {
        CHECK_HOLDS(refusal(text), "got text that is not JSON");
    }
    CHECK_HOLDS(refusal(std::string("{\"a\0\":1}", 9)), "not JSON");
    CHECK_HOLDS(refusal("{\"a\": 1, \"a\": 2}"), "got the key 'a' twice");
    CHECK_HOLDS(refusal(std::string(100000, '[')), "nested more than 64 deep");
    std::string objects;
    for (int i = 0; i < 100000; ++i) {
        objects += "{\"a\":";
    }
    CHECK_HOLDS(refusal(objects), "nested more than 64 deep");
    CHECK_HOLDS(refusal("{\"a\": {\"b\": 1, \"a\": 2}, \"c\": [{\"b\": 1}, {\"b\": 1, \"b\": 1}]}"), "got the key 'b' twice");
    CHECK_HOLDS(refusal("[1e999]"), "not JSON");
    CHECK(static_cast<bool>(parse_json(std::string(64, '[') + std::string(64, ']'))));
}

void test_shown_is_short() {
    const auto parsed = parse_json("\"" + std::string(79, 'x') + "\xC3\xA9\"");
    CHECK(static_cast<bool>(parsed));
    CHECK(parsed && shown(parsed.value()) == "\"" + std::string(79, 'x') + "...");  // no half of a character
}

}  // namespace

int main() {
    test_values();
    test_refusals();
    test_shown_is_short();
    return skyedge::test::finish();
}

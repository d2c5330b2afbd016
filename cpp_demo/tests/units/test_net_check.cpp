// Invalid .param and .bin: each is refused with a message that names the place.
#include "tests/check.h"
#include "core/network/net_check.h"
#include "tests/tiny_artifact.h"

namespace {

std::string refusal(const std::string& param, const std::string& bin) {
    const skyedge::Failure failure = skyedge::check_net({param.begin(), param.end()}, {bin.begin(), bin.end()}, 8, 8);
    return failure ? failure->message : "accepted";
}

std::string with(std::string text, const std::string& old_part, const std::string& new_part) {
    CHECK(text.find(old_part) != std::string::npos);
    return text.replace(text.find(old_part), old_part.size(), new_part);
}

void test_text() {
    const std::string param = skyedge::test::tiny_param(), bin = skyedge::test::tiny_bin();
    const auto refused = [&](const std::string& old_part, const std::string& new_part, const std::string& said) {
        CHECK_HOLDS(refusal(with(param, old_part, new_part), bin), said);
    };
    CHECK_HOLDS(refusal(param, bin), "accepted");
    CHECK_HOLDS(refusal("", bin), "got '' on line 1");
    CHECK_HOLDS(refusal("nonsense", bin), "got 'nonsense' on line 1");
    CHECK_HOLDS(refusal("7767517\n", bin), "got '' on line 2");
    refused("7767517", "7767518", "on line 1");
    refused("3 3", "4 3", "numbers of layers, 3");
    refused("3 3", "3 99999999", "on line 2");
    refused("3 3", "3 4", "got 3 blobs in .param, expected 4");
    refused("Sigmoid", "NoLayer", "got a layer of type 'NoLayer' on line 5");
    refused("Sigmoid", "S\x01gmoid", "not plain text");
    refused("sigmoid 1 1", "sigmoid 1 1000000", "type, name, and how many");
    refused("sigmoid 1 1", "sigmoid 1 -1", "type, name, and how many");
    refused("sigmoid 1 1 1 out0", "sigmoid 1 1 1 0=1", "too few names");
    refused("1 1 in0 1", "1 1 in9 1", "got blob 'in9'");
    refused("1 1 1 out0", "1 1 in0 out0", "got blob 'in0'");
    refused("1 1 1 out0", "1 1 1 1", "got blob '1', expected a new one");
    refused("Sigmoid sigmoid", "Sigmoid conv", "a name of its own");
    refused("Sigmoid sigmoid 1 1 1 out0", "Sigmoid sigmoid 0 1 out0", "blobs that go in");
    for (const char* value :
         {"6=3 6=3", "6=", "=3", "32=1", "-23332=1,1", "-23310=2,1", "10=1,x", "6=3e99", "6=nan", "x"}) {
        refused("6=3", value, "expected KEY=NUMBER");
    }
}

void test_weights() {
    const std::string param = skyedge::test::tiny_param(), bin = skyedge::test::tiny_bin();
    for (const char* values : {"0=0 1=1 5=1 6=3", "0=1 1=0 5=1 6=3", "0=2 1=1 5=1 6=3", "0=1 1=1 5=2 6=3",
                               "0=1 1=2 5=1 6=3", "0=1.5 1=1 6=3", "0=1 1=1 3=0 5=1 6=3", "0=1 1=1 5=1 6=4", "0=1 1=1 5=1 6=268435456", "0=1 1=1 5=1 6=3 8=1",
                               "0=1 1=1 5=1 6=3 19=1", "1=1 5=1 6=3", "0=1 1=1 5=1 6=0"}) {
        CHECK_HOLDS(refusal(with(param, "0=1 1=1 5=1 6=3", values), bin), "layer 'conv': got numbers of a convolution");
    }
    CHECK_HOLDS(refusal(with(param, "0=1 1=1 5=1 6=3", "0=2 1=1 5=1 6=6"), bin), "got 20 bytes in .bin, expected 36");
    CHECK_HOLDS(refusal(with(param, "5=1", "5=0"), bin), "got 4 bytes in .bin beyond");
    CHECK_HOLDS(refusal(param, bin.substr(0, 19)), "got 19 bytes in .bin, expected 20");
    CHECK_HOLDS(refusal(param, ""), "an unknown kind");
    CHECK_HOLDS(refusal(param, "\x01" + bin.substr(1)), "an unknown kind");
    // int8: a tag, three bytes and one of padding, then bias, the weights' scale and the input's.
    const std::string int8 = std::string("\x38\x4B\x0D\x00", 4) + std::string(4 + 3 * 4, '\0');
    CHECK_HOLDS(refusal(with(param, "6=3", "6=3 8=2"), int8), "accepted");
    CHECK_HOLDS(refusal(with(param, "6=3", "6=3 8=102"), int8), "got 20 bytes in .bin, expected 24");
    CHECK_HOLDS(refusal(param, int8), "an unknown kind");
}

}  // namespace

int main() {
    test_text();
    test_weights();
    return skyedge::test::finish();
}

// model.json is read strictly, and files are checked before they are used.
#include "tests/check.h"
#include "skyedge/model_spec.h"
#include "tests/tiny_artifact.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using skyedge::test::tiny_spec;

// The message for the tiny spec with the value at `pointer` replaced.
std::string refusal(const std::string& pointer, const json& value) {
    json spec = tiny_spec();
    spec[json::json_pointer(pointer)] = value;
    const auto parsed = skyedge::parse_model_spec(spec.dump());
    CHECK(!parsed);
    return parsed ? std::string() : parsed.error().message;
}

std::string refusal_without(const std::string& object, const std::string& key) {
    json spec = tiny_spec();
    spec[json::json_pointer(object)].erase(key);
    const auto parsed = skyedge::parse_model_spec(spec.dump());
    CHECK(!parsed);
    return parsed ? std::string() : parsed.error().message;
}

void test_good_spec() {
    const auto parsed = skyedge::parse_model_spec(tiny_spec().dump());
    CHECK(static_cast<bool>(parsed));
    if (!parsed) {
        std::fprintf(stderr, "%s\n", parsed.error().message.c_str());
        return;
    }
    const skyedge::ModelSpec& spec = parsed.value();
    CHECK(spec.name == "tiny-8-fp32-ncnn");
    CHECK(spec.input.blob == "in0" && spec.output.blob == "out0");
    CHECK(spec.input.width_px == 8 && spec.input.height_px == 8);
    CHECK(spec.input.mean[1] == 127.0 && spec.input.std[2] == 128.0);
    CHECK(spec.output.threshold == 0.5);
    CHECK(spec.param.name == "model.param" && spec.bin.size_bytes == 20);
}

// The int8 networks of quantize/int8.py have float32 input and output; only `quantization` says int8.
void test_int8_spec() {
    json spec = tiny_spec();
    spec["quantization"] = {{"precision", "int8"},
                            {"weights", "per_channel_symmetric, first and depthwise layers float16"},
                            {"activations", "per_tensor"},
                            {"calibration", {{"sha256", std::string(64, 'a')}, {"count", 200}}}};
    CHECK(static_cast<bool>(skyedge::parse_model_spec(spec.dump())));
}

void test_keys_are_exact() {
    CHECK_HOLDS(refusal("/extra", 1), "unknown key extra");
    CHECK_HOLDS(refusal("/input/scale", 1), "unknown key input.scale");
    CHECK_HOLDS(refusal("/files/bin/url", "x"), "unknown key files.bin.url");
    CHECK_HOLDS(refusal("/files/model", json::object()), "unknown key files.model");
    CHECK_HOLDS(refusal_without("", "golden"), "missing key golden");
    CHECK_HOLDS(refusal_without("/input", "quant"), "missing key input.quant");
    CHECK_HOLDS(refusal_without("/output", "threshold"), "missing key output.threshold");
    for (const json& top : {json::array(), json(1), json(nullptr)}) {
        CHECK(!skyedge::parse_model_spec(top.dump()));
    }
    const auto cut = skyedge::parse_model_spec(tiny_spec().dump().substr(0, 100));
    CHECK(!cut && cut.error().message.find("not JSON") != std::string::npos);
    const auto twice = skyedge::parse_model_spec(R"({"schema_version": 1, "name": "a", "name": "b"})");
    CHECK(!twice && twice.error().message.find("'name' twice") != std::string::npos);
}

void test_values_are_checked() {
    CHECK_HOLDS(refusal("/schema_version", 2), "got schema_version 2, expected 1");
    CHECK_HOLDS(refusal("/schema_version", "1"), "schema_version");
    CHECK_HOLDS(refusal("/schema_version", true), "schema_version");
    CHECK_HOLDS(refusal("/format", "onnx"), "export/to_ncnn.py");
    CHECK_HOLDS(refusal("/files/bin/path", "../model.bin"), "plain file name");
    CHECK_HOLDS(refusal("/files/bin/path", ".hidden"), "plain file name");
    CHECK_HOLDS(refusal("/files/bin/sha256", "ABC"), "64 lower-case hex digits");
    CHECK_HOLDS(refusal("/files/bin/bytes", 0), "files.bin.bytes: got 0");
    CHECK_HOLDS(refusal("/files/bin/bytes", 20.0), "whole number");
    CHECK_HOLDS(refusal("/files/bin/bytes", 18446744073709551615U), "whole number");
    CHECK_HOLDS(refusal("/input/shape", {1, 8, 8, 3}), "input.shape");
    CHECK_HOLDS(refusal("/input/shape", {1, 3, 8}), "input.shape");
    CHECK_HOLDS(refusal("/input/shape", {1, 3, 0, 8}), "input.shape");
    CHECK_HOLDS(refusal("/input/layout", "NHWC"), "expected NCHW");
    CHECK_HOLDS(refusal("/input/dtype", "int8"), "expected float32");
    CHECK_HOLDS(refusal("/input/color", "BGR"), "expected RGB");
    CHECK_HOLDS(refusal("/input/resize", "area"), "expected pillow_bilinear");
    CHECK_HOLDS(refusal("/input/mean", {127, 127}), "three numbers");
    CHECK_HOLDS(refusal("/input/mean", {127, 127, "127"}), "three numbers");
    CHECK_HOLDS(refusal("/input/std", {128, 0, 128}), "1 to 255");
    CHECK_HOLDS(refusal("/input/quant", {{"scale", 1}, {"zero_point", 0}}), "null for float32");
    CHECK_HOLDS(refusal("/output/meaning", "logit"), "expected probability");
    CHECK_HOLDS(refusal("/output/threshold", 1.5), "output.threshold");
    CHECK_HOLDS(refusal("/output/threshold", "0.5"), "output.threshold");
    CHECK_HOLDS(refusal("/quantization/precision", "fp8"), "one of fp32, fp16, int8");
    CHECK_HOLDS(refusal("/quantization/calibration", {{"sha256", "x"}, {"count", 1}}), "calibration.sha256");
    CHECK_HOLDS(refusal("/golden/atol", -1), "golden.atol");
    CHECK_HOLDS(refusal("/provenance", 3), "provenance");
    CHECK_HOLDS(refusal("/weights_license", ""), "weights_license");
    CHECK_HOLDS(refusal("/name", "a/b"), "name");
}

std::string folder_refusal(const fs::path& folder) {
    const auto artifact = skyedge::read_artifact(folder);
    CHECK(!artifact);
    return artifact ? std::string() : artifact.error().message;
}

void test_files_are_checked(const fs::path& scratch) {
    using skyedge::test::write_text;
    using skyedge::test::write_tiny;
    CHECK_HOLDS(folder_refusal(scratch / "nowhere"), "no such folder");
    fs::create_directory(scratch / "empty");
    CHECK_HOLDS(folder_refusal(scratch / "empty"), "a folder without it");

    const fs::path folder = scratch / "tiny";
    write_tiny(folder);
    CHECK(static_cast<bool>(skyedge::read_artifact(folder)));

    std::string bin = skyedge::test::tiny_bin();
    write_text(folder / "model.bin", bin.substr(1));
    CHECK_HOLDS(folder_refusal(folder), "got 19 bytes, expected 20");
    bin[6] = static_cast<char>(bin[6] ^ 1);
    write_text(folder / "model.bin", bin);
    CHECK_HOLDS(folder_refusal(folder), "got sha256");

    write_tiny(folder);
    write_text(folder / "model.param", skyedge::test::tiny_param() + "\n");
    CHECK_HOLDS(folder_refusal(folder), "model.param: got");
    fs::remove(folder / "model.param");
    CHECK_HOLDS(folder_refusal(folder), "No such file");
    write_tiny(folder);
    fs::rename(folder / "model.bin", scratch / "elsewhere.bin");
    fs::create_symlink(scratch / "elsewhere.bin", folder / "model.bin");
    CHECK_HOLDS(folder_refusal(folder), "no regular file of the artifact's folder");
}

// An app may omit the golden pair. If it is needed, its header must match the spec.
void test_golden_pair(const fs::path& folder) {
    using skyedge::test::npy;
    using skyedge::test::write_text;
    skyedge::test::write_tiny(folder);
    const auto whole = skyedge::read_artifact(folder, true);
    CHECK(whole && whole.value().golden && whole.value().golden->input.rgb.size() == 192);
    CHECK(whole && whole.value().golden && whole.value().golden->output.values.size() == 64);
    const auto refusal = [&] {
        const auto artifact = skyedge::read_artifact(folder, true);
        CHECK(!artifact && artifact.error().code == skyedge::ErrorCode::kArtifact);
        CHECK(static_cast<bool>(skyedge::read_artifact(folder)));
        return artifact ? std::string() : artifact.error().message;
    };
    const std::string good = skyedge::test::tiny_golden_output();
    std::string long_header = good;
    long_header[8] = long_header[9] = '\xFF';
    for (const std::string& wrong :
         {std::string(), good.substr(0, 20), good + "x", good.substr(1), long_header,
          npy("<f4", "1000000000000000000, 8", std::string(256, '\0')), npy("|O", "8, 8", std::string(256, '\0')),
          npy("<f4", "8, 8, 1", std::string(256, '\0')), std::string(100000, '[')}) {
        write_text(folder / "golden_out.npy", wrong);
        CHECK_HOLDS(refusal(), "golden_out.npy");
    }
    fs::resize_file(folder / "golden_out.npy", std::uintmax_t{60} << 30U);  // a sparse file of 60 GB
    CHECK_HOLDS(refusal(), "got 64424509440 bytes, expected ");
    fs::remove(folder / "golden_out.npy");
    CHECK_HOLDS(refusal(), "golden_out.npy");
}

}  // namespace

int main() {
    test_good_spec();
    test_int8_spec();
    test_keys_are_exact();
    test_values_are_checked();
    const skyedge::test::ScratchFolder scratch;
    test_files_are_checked(scratch.path());
    test_golden_pair(scratch.path() / "golden");
    return skyedge::test::finish();
}

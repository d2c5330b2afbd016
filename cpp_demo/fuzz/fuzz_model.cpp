// libFuzzer harness for artifacts: model.json, a zero byte, .param, a zero byte, .bin. A refused spec is replaced
// by the tiny artifact's, so that every input reaches the network checks and, if they pass, ncnn's loaders. SHA-256 is
// not checked: it would refuse everything but the seeds.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tests/tiny_artifact.h"
#include "skyedge/model_spec.h"
#include "skyedge/sky_segmenter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::uint8_t* const end = data + size;
    const std::uint8_t* const json_end = std::find(data, end, 0);
    const std::uint8_t* const param = std::min(json_end + 1, end);
    const std::uint8_t* const param_end = std::find(param, end, 0);
    const std::uint8_t* const bin = std::min(param_end + 1, end);

    static const skyedge::Result<skyedge::ModelSpec> tiny =
        skyedge::parse_model_spec(skyedge::test::tiny_spec().dump());
    const skyedge::Result<skyedge::ModelSpec> spec = skyedge::parse_model_spec(std::string(data, json_end));
    const skyedge::Artifact artifact{spec ? spec.value() : tiny.value(), {param, param_end}, {bin, end}, {}};
    if (const auto loaded = skyedge::SkySegmenter::from_artifact(artifact, {1});
        !loaded && loaded.error().message.empty()) {
        __builtin_trap();  // every refusal has a message
    }
    return 0;
}

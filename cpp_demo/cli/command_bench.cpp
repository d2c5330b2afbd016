// skyedge bench: latency and memory of artifacts.
#include <cstdio>

#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/output_file.h"

namespace skyedge {
namespace {

struct BenchCommand {
    BenchConfig config;
    std::string json;  // empty: none; "-": stdout
};

Result<BenchCommand> parse(const std::vector<std::string>& words) {
    const Result<FlagValues> flags = parse_flags(words, {{"--model", FlagKind::kRepeatable},
                                                         {"--threads"},
                                                         {"--runs"},
                                                         {"--seconds"},
                                                         {"--input"},
                                                         {"--camera"},
                                                         {"--device-name"},
                                                         {"--json"}});
    if (!flags) {
        return flags.error();
    }
    const FlagValues& values = flags.value();
    const Result<std::string> model = need_path(values, "--model");
    if (!model) {
        return model.error();
    }
    const Result<int> threads = parse_threads(values);
    const Result<int> runs = whole_number(values, "--runs", 1, 1000000, 100);
    const Result<double> seconds = decimal_number(values, "--seconds", 86400.0, 10.0);
    if (!threads || !runs) {
        return threads ? runs.error() : threads.error();
    }
    if (!seconds) {
        return seconds.error();
    }
    std::optional<CameraFormat> camera;
    if (values.count("--camera") > 0) {
        const Result<CameraFormat> parsed = parse_camera(text_of(values, "--camera"));
        if (!parsed) {
            return parsed.error();
        }
        if (values.count("--input") > 0) {
            return Error{"got --camera and --input, expected one of them: what the frame is"};
        }
        camera = parsed.value();
    }
    const std::vector<std::string>& models = values.at("--model");
    BenchCommand command{{{models.begin(), models.end()},
                          threads.value(),
                          runs.value(),
                          seconds.value(),
                          text_of(values, "--input"),
                          camera,
                          text_of(values, "--device-name")},
                         text_of(values, "--json")};
    if (const Failure failure = refuse_folder("--json", command.json)) {
        return *failure;
    }
    return command;
}

}  // namespace

Failure run_bench(const std::vector<std::string>& words) {
    const Result<BenchCommand> command = parse(words);
    if (!command) {
        return command.error();
    }
    const Result<BenchReport> report = bench(command.value().config);
    if (!report) {
        return report.error();
    }
    const std::string json = to_json(report.value());
    const std::string& place = command.value().json;
    if (place == "-") {
        std::fputs(json.c_str(), stdout);
        return std::nullopt;
    }
    if (!place.empty()) {
        if (Failure failure = write_file(place, {json.begin(), json.end()})) {
            return failure;
        }
    }
    std::fputs(to_table(report.value()).c_str(), stdout);
    return std::nullopt;
}

}  // namespace skyedge

// skyedge bench: latency and memory of artifacts, as raw samples.
#include <cstdio>

#include "cli/commands.h"
#include "cli/output_file.h"

namespace skyedge {

Failure run_bench(const BenchCommand& command) {
    const Result<BenchReport> report = bench(command.config);
    if (!report) {
        return report.error();
    }
    const std::string json = to_json(report.value());
    if (command.json != "-") {
        return write_file(command.json, {json.begin(), json.end()});
    }
    std::fputs(json.c_str(), stdout);
    return std::nullopt;
}

}  // namespace skyedge

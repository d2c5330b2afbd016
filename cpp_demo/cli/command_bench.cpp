// skyedge bench: latency and memory of artifacts.
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
    if (command.json == "-") {
        std::fputs(json.c_str(), stdout);
        return std::nullopt;
    }
    if (!command.json.empty()) {
        if (Failure failure = write_file(command.json, {json.begin(), json.end()})) {
            return failure;
        }
    }
    std::fputs(to_table(report.value()).c_str(), stdout);
    return std::nullopt;
}

}  // namespace skyedge

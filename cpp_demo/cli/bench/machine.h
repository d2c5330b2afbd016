// Facts about the machine that is measured, on Linux and Android; the same as edge_runtime/benchmark/machine.py.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace skyedge {

// An empty optional means that the system does not tell.
struct Machine {
    std::string name;  // the user's, or the board's, or the CPU's
    std::string cpu;
    std::vector<std::string> cpu_flags;  // the ones that matter for fp16 and int8
    std::string architecture;
    int cores = 1;  // logical ones that this process may use
    std::optional<std::string> governor;
    std::optional<double> max_mhz;
    bool is_virtual = false;  // the CPU says that it runs under a hypervisor
    std::optional<std::int64_t> memory_bytes;
    std::string os;
    std::string kernel;
};

Machine describe_machine(const std::string& name);

// Load averages of 1, 5 and 15 minutes.
std::optional<std::array<double, 3>> load_average();

// CPU seconds that all processes have used since the machine started.
std::optional<double> busy_seconds();

// CPU seconds that this process has used, all threads together.
double process_seconds();

// A field of /proc/self/status that counts memory, such as VmHWM (peak) and VmRSS.
std::optional<std::int64_t> status_bytes(const std::string& field);

}  // namespace skyedge

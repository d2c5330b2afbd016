#include "cli/bench/machine.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <locale>
#include <set>
#include <sstream>

namespace skyedge {
namespace {

// Linux names: x86, then Arm.
constexpr const char* kRelevantFlags[] = {
    "sse4_2",      "avx",         "avx2",     "fma",      "f16c",     "avx_vnni", "avx512f", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "neon",     "asimd",   "asimdhp",
    "fphp",        "asimddp",     "i8mm",     "bf16",     "sve",      "sve2",
};
constexpr const char* kCpuFolder = "/sys/devices/system/cpu/cpu0/cpufreq/";

std::string trim(const std::string& text) {
    constexpr const char* kBlank = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlank);
    return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::optional<std::string> first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line, '\n');
    line = trim(line.substr(0, line.find('\0')));
    return line.empty() ? std::nullopt : std::optional<std::string>(line);
}

// The values of all lines "key : value" or "key=value" of a file.
std::vector<std::string> values_of(const std::string& path, const std::string& key, char separator) {
    std::ifstream file(path);
    std::vector<std::string> values;
    for (std::string line; std::getline(file, line);) {
        const std::size_t at = line.find(separator);
        if (at != std::string::npos && trim(line.substr(0, at)) == key) {
            values.push_back(trim(line.substr(at + 1)));
        }
    }
    return values;
}

std::optional<std::int64_t> kilobytes(const std::string& path, const std::string& key) {
    const std::vector<std::string> values = values_of(path, key, ':');
    if (values.empty()) {
        return std::nullopt;
    }
    return static_cast<std::int64_t>(std::strtoll(values.front().c_str(), nullptr, 10)) * 1024;
}

std::set<std::string> cpu_flags() {
    std::set<std::string> flags;
    for (const char* key : {"flags", "Features"}) {
        for (const std::string& line : values_of("/proc/cpuinfo", key, ':')) {
            std::istringstream words(line);
            for (std::string word; words >> word;) {
                flags.insert(word);
            }
        }
    }
    return flags;
}

// Arm kernels often report only part numbers, which identify the core.
std::string cpu_model(const std::string& architecture) {
    for (const char* key : {"model name", "Model", "Hardware"}) {
        const std::vector<std::string> values = values_of("/proc/cpuinfo", key, ':');
        if (!values.empty() && !values.front().empty()) {
            return values.front();
        }
    }
    std::string parts;
    const std::vector<std::string> values = values_of("/proc/cpuinfo", "CPU part", ':');
    for (const std::string& part : std::set<std::string>(values.begin(), values.end())) {
        parts += (parts.empty() ? " part " : ", ") + part;
    }
    return architecture + parts;
}

std::string os_name(const utsname& facts) {
    const std::vector<std::string> names = values_of("/etc/os-release", "PRETTY_NAME", '=');
    if (names.empty()) {
        return std::string(facts.sysname) + " " + facts.release;
    }
    std::string name = names.front();
    name.erase(std::remove(name.begin(), name.end(), '"'), name.end());
    return name;
}

}  // namespace

Machine describe_machine(const std::string& name) {
    utsname facts{};
    ::uname(&facts);
    const std::set<std::string> flags = cpu_flags();
    Machine machine;
    machine.architecture = facts.machine;
    machine.cpu = cpu_model(machine.architecture);
    machine.name = !name.empty() ? name : first_line("/proc/device-tree/model").value_or(machine.cpu);
    std::copy_if(std::begin(kRelevantFlags), std::end(kRelevantFlags), std::back_inserter(machine.cpu_flags),
                 [&](const char* flag) { return flags.count(flag) > 0; });
    cpu_set_t usable;
    machine.cores = ::sched_getaffinity(0, sizeof usable, &usable) == 0 ? CPU_COUNT(&usable) : 1;
    machine.governor = first_line(std::string(kCpuFolder) + "scaling_governor");
    if (const auto khz = first_line(std::string(kCpuFolder) + "cpuinfo_max_freq")) {
        machine.max_mhz = std::strtod(khz->c_str(), nullptr) / 1000.0;
    }
    machine.is_virtual = flags.count("hypervisor") > 0;
    machine.memory_bytes = kilobytes("/proc/meminfo", "MemTotal");
    machine.os = os_name(facts);
    machine.kernel = std::string(facts.sysname) + " " + facts.release;
    return machine;
}

std::optional<std::array<double, 3>> load_average() {
    std::array<double, 3> loads{};
    return ::getloadavg(loads.data(), 3) == 3 ? std::optional(loads) : std::nullopt;
}

std::optional<double> busy_seconds() {
    std::istringstream words(first_line("/proc/stat").value_or(""));
    words.imbue(std::locale::classic());
    std::string label;
    std::array<long long, 8> ticks{};  // user, nice, system, idle, iowait, irq, softirq, steal
    words >> label;
    for (long long& each : ticks) {
        words >> each;
    }
    if (label != "cpu" || !words) {
        return std::nullopt;
    }
    const long long busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7];
    return static_cast<double>(busy) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double process_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::optional<std::int64_t> status_bytes(const std::string& field) { return kilobytes("/proc/self/status", field); }

}  // namespace skyedge

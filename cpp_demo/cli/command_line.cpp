#include "cli/command_line.h"

#include <algorithm>
#include <cmath>
#include <locale>
#include <sstream>

namespace skyedge {

Result<FlagValues> parse_flags(const std::vector<std::string>& words, const std::vector<Flag>& known) {
    FlagValues values;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::size_t equals = words[i].find('=');
        const std::string name = words[i].substr(0, equals);
        const auto flag = std::find_if(known.begin(), known.end(), [&](const Flag& each) { return each.name == name; });
        if (flag == known.end()) {
            std::string expected;
            for (const Flag& each : known) {
                expected += (expected.empty() ? "" : ", ") + each.name;
            }
            return Error{"got '" + words[i] + "', expected one of " + expected + "; see skyedge --help"};
        }
        const bool inline_value = equals != std::string::npos;
        if (flag->kind == FlagKind::kSwitch) {
            if (inline_value) {
                return Error{"got '" + words[i] + "', expected " + name + " without a value; see skyedge --help"};
            }
            values[name] = {""};
            continue;
        }
        if (!inline_value && i + 1 == words.size()) {
            return Error{"got " + name + " without a value, expected " + name + " VALUE; see skyedge --help"};
        }
        std::vector<std::string>& given = values[name];
        given.push_back(inline_value ? words[i].substr(equals + 1) : words[++i]);
        if (given.size() > 1 && flag->kind != FlagKind::kRepeatable) {
            return Error{"got " + name + " twice, expected it once"};
        }
    }
    return values;
}

std::string text_of(const FlagValues& values, const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::string() : found->second.front();
}

Result<std::string> need_path(const FlagValues& values, const std::string& name) {
    const auto found = values.find(name);
    if (found == values.end() || found->second.front().empty()) {
        return Error{"got no " + name + ", expected a path; see skyedge --help"};
    }
    return found->second.front();
}

Result<int> whole_number(const FlagValues& values, const std::string& name, int low, int high, int otherwise) {
    const auto found = values.find(name);
    if (found == values.end()) {
        return otherwise;
    }
    const std::string& text = found->second.front();
    const bool digits = !text.empty() && text.size() <= 8 && text.find_first_not_of("0123456789") == std::string::npos;
    const int number = digits ? std::stoi(text) : -1;
    if (number < low || number > high) {
        return Error{"got " + name + " '" + text + "', expected a whole number from " + std::to_string(low) + " to " +
                     std::to_string(high)};
    }
    return number;
}

Result<double> decimal_number(const FlagValues& values, const std::string& name, double high, double otherwise) {
    const auto found = values.find(name);
    if (found == values.end()) {
        return otherwise;
    }
    std::istringstream reader(found->second.front());
    reader.imbue(std::locale::classic());
    double number = -1.0;
    const bool whole = (reader >> number) && reader.peek() == std::istringstream::traits_type::eof();
    if (!whole || !std::isfinite(number) || number < 0.0 || number > high) {
        std::ostringstream most;
        most << high;
        return Error{"got " + name + " '" + found->second.front() + "', expected a number from 0 to " + most.str()};
    }
    return number;
}

}  // namespace skyedge

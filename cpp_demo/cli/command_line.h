// Words of a command line into values, with errors that say what was expected.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

// A flag that a command knows: of one value, of one at each of several times, or of none.
enum class FlagKind { kOnce, kRepeatable, kSwitch };
struct Flag {
    std::string name;
    FlagKind kind = FlagKind::kOnce;
};

using FlagValues = std::map<std::string, std::vector<std::string>>;

// Turns "--name value", "--name=value" and switches into a map; refuses names outside `known`.
Result<FlagValues> parse_flags(const std::vector<std::string>& words, const std::vector<Flag>& known);

// Whether the switch `name` is on.
inline bool is_on(const FlagValues& values, const std::string& name) { return values.count(name) > 0; }

// Returns the value given for `name`, or nothing.
std::string text_of(const FlagValues& values, const std::string& name);

// Returns the value of a flag that must be there and not empty.
Result<std::string> need_path(const FlagValues& values, const std::string& name);

// Returns the whole number given for `name`, from `low` to `high`, or `otherwise` where the flag is not there.
Result<int> whole_number(const FlagValues& values, const std::string& name, int low, int high, int otherwise);

// The same for a decimal number from 0 to `high`.
Result<double> decimal_number(const FlagValues& values, const std::string& name, double high, double otherwise);

}  // namespace skyedge

// Words of a command line into values, with errors that say what was expected.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "result.h"

namespace skyedge {

// A flag that a command knows; only a repeatable one may be given twice.
struct Flag {
    std::string name;
    bool repeatable = false;
};

using FlagValues = std::map<std::string, std::vector<std::string>>;

// Turns "--name value" and "--name=value" into a map; refuses names outside `known`.
Result<FlagValues> parse_flags(const std::vector<std::string>& words, const std::vector<Flag>& known);

// Returns the value of a flag that must be there and not empty.
Result<std::string> need_path(const FlagValues& values, const std::string& name);

// Returns the whole number given for `name`, from `low` to `high`, or `otherwise` where the flag is not there.
Result<int> whole_number(const FlagValues& values, const std::string& name, int low, int high, int otherwise);

// The same for a decimal number from 0 to `high`.
Result<double> decimal_number(const FlagValues& values, const std::string& name, double high, double otherwise);

}  // namespace skyedge

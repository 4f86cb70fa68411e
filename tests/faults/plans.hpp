// What can go wrong, and how often it is tried.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "faults/engine.hpp"

namespace faults {

using call_counts = std::array<long, kinds>;

// plans_for() is a list of about `most` plans for a scenario that made so many calls: each single call that
// fails in each of its ways if they are no more than half of it, else a sample; from a call on all of them;
// every n-th; two at random places; signals.
std::vector<plan> plans_for(const scenario& s, const call_counts& made, std::size_t most,
                            std::uint64_t seed);

// may_end() tells whether the process may end with that text under the plan.
bool may_end(const scenario& s, const plan& p, const std::string& text);

}  // namespace faults

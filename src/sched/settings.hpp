// What options and the environment say about a runtime.
//
//   SKEIN_PROCS=N                 processors, where the options do not say
//   SKEIN_GUARDS=markers          stacks are guarded by markers, or the program does not start
//   SKEIN_GUARDS=mprotect[:N]     as on a kernel without markers: the first N stacks (16,000) are
//                                 guarded, the rest carry canaries
//   SKEIN_VERBOSE=1               a line on stderr at the start of each runtime
//
// An empty variable is none. What makes no sense throws std::invalid_argument with the text.
#pragma once

#include "sched/state.hpp"

namespace skein::inline SKEIN_ABI::sched {

void check_options(const options& o);
int asked_procs(const options& o);  // 0: as many as the quota says
void choose_guards(arch::stack_pool& stacks);
bool wants_start_line();
void print_start_line(const runtime_state* rt) noexcept;

// refuse_shadow_stack() throws std::system_error where CET shadow stacks are on, which would take
// every switch for an attack.
void refuse_shadow_stack();

}  // namespace skein::inline SKEIN_ABI::sched

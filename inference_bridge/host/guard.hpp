// The guard of an algorithm's process: ends all that the algorithm has started when the algorithm ends, when it is told
// to, or when sdskit is gone. Each algorithm has a guard of its own, which runs none of the algorithm's code.
#pragma once

#include <sys/types.h>

namespace sds::host {

/// Splits this process in two. Returns in the child, in a process group of its own, which dies with the guard; the
/// guard never returns: it exits with the child's exit code or dies of the child's signal. `parent` is the process that
/// the guard dies with: if it is gone already, all ends. SIGTERM makes the guard kill everything and exit.
void split_off_guard(pid_t parent);

}  // namespace sds::host

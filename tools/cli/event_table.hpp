// Precision, recall, F1 and onsets of events, class by class, as a table for people.
#pragma once

#include <map>
#include <string>

#include "event_match.hpp"

namespace sds::cli {

/// On standard output; with a line for all together where there are several classes.
void print_event_scores(const std::map<std::string, EventScore>& by_class);

}  // namespace sds::cli

// Work on labels: checks, merging, agreement of annotators, and other programs' files.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "label_ticks.hpp"

namespace sds {

/// Two labels of one stream (or of the whole recording) by one author that overlap, classes that `classes` does not
/// have, labels outside of the recording or of streams that it does not have, empty ones: as sentences with the number
/// and the line.
Expected<std::vector<std::string>> check_labels(const LabelFile& file, const Recording& recording);

/// Adds the labels of `other` to `file`; equal ones once. Where the ticks of `file` do not hold all of them, it gets
/// the slowest that do; where there are none (a frequency of 2^31 Hz and more), they are the finest decimal ones, down
/// to 1 ns, and edges are on the last tick before (place_labels()): returns of how many labels. Known classes of `file`
/// stay known, with those of `other`; where it has labels and knows any class, it still does. With `gap_s`, labels of
/// the same class, stream and author that touch, overlap or lie at most so far apart become one.
Expected<std::size_t> merge_labels(LabelFile& file, const LabelFile& other);
/// The same in the ticks of `file`, whatever those of `other` are.
Expected<std::size_t> take_labels(LabelFile& file, const LabelFile& other);
/// The ticks in which labels of several files are brought together, in whatever order these come: those of the file
/// with the finest, where they hold all labels, else the slowest that hold all; where there are none, those that hold
/// the finest ones and decimals, as merge_labels() chooses them.
Frequency ticks_of_files(std::span<const LabelFile> files);
void join_labels(LabelFile& file, double gap_s);

/// Puts labels on ticks that choose their samples (place_labels()) and adds them (merge_labels()): the file gets finer
/// ticks where it needs them. Labels of intervals without a sample (`keep_empty`: all) are left out.
struct AddedLabels {
  std::size_t placed = 0;   ///< labels that are not left out
  std::size_t added = 0;    ///< that were not there already
  std::size_t rounded = 0;  ///< to ticks that may not choose their samples
};
Expected<AddedLabels> add_labels(LabelFile& file, std::vector<TimedLabel> labels,
                                 const std::vector<Frequency>& of_samples, bool keep_empty = true);
/// Gives the labels of these indices, ascending, these times instead, placed alike. Returns how many are rounded.
Expected<std::size_t> move_labels(LabelFile& file, const std::vector<std::size_t>& indices,
                                  std::vector<TimedLabel> moved, const std::vector<Frequency>& of_samples);

/// What the class is from each of these times on, in seconds, for a stream ("" none): of overlapping labels the one
/// that begins last; of those that begin at once the one that ends first, then the first by name.
std::map<double, std::string> class_timeline(const LabelFile& file, const std::string& stream);

/// Makes of each label of the whole recording one of each of these streams. Returns of how many that was done.
std::size_t divide_by_stream(LabelFile& file, const std::vector<std::string>& streams);

/// Leaves of each label what lies in the times of its stream, or, where it is about the whole recording, of any: a
/// piece for each stretch. The edges are those of the times: where the ticks of `file` do not hold them, it gets ticks
/// that do (of decimals with up to nine digits); where there are none (merge_labels()), the next ticks outside of a
/// piece count.
void shorten_labels(LabelFile& file, const Recording& recording, const StreamTimes& within);

/// Where times begin that are told from 0 on (docs/time.md, "Normalized times").
class LabelOrigins {
 public:
  /// At the clock's zero, whatever a label is about.
  LabelOrigins() = default;
  /// At the first block of the stream that a label is about (first_tick()); `streams` are those that labels of the
  /// whole recording are told with.
  static Expected<LabelOrigins> first_blocks(const Recording& recording, const std::vector<std::size_t>& streams);

  /// Of labels about a stream; "": about the whole recording. Nothing of streams that there are not, or without blocks.
  [[nodiscard]] std::optional<Instant> of(const std::string& stream) const;
  /// Whether times are of the recording's clock.
  [[nodiscard]] bool at_zero() const { return !by_stream_; }
  /// Whether labels of the whole recording have one time with all of these streams.
  [[nodiscard]] bool one_for_all() const { return one_for_all_; }

 private:
  std::optional<std::map<std::string, Instant>> by_stream_;
  bool one_for_all_ = true;
};

/// How far two annotators agree: at every instant, each says one class or none (class_timeline()). Where labels are
/// about streams, each of these streams is compared by itself, with the labels that are about it and those about the
/// whole recording, and seconds are those of all together.
struct Agreement {
  std::vector<std::string> streams;  ///< that labels are about
  double compared_s = 0;             ///< from the first to the last label of either, for each stream
  double agreed_s = 0;
  double kappa = 0;  ///< Cohen's kappa (Educational and Psychological Measurement 20, 1960); NaN if undefined
  std::map<std::pair<std::string, std::string>, double> table;  ///< seconds by (class of a, class of b); "" is none
};
Agreement agreement(const LabelFile& a, const LabelFile& b);

/// Audacity's label track: lines of start, end (seconds) and text, separated by tabs. Lines that start with a
/// backslash (frequency ranges) are left out. Times count from `origin`, and are never written later than they are.
Expected<std::vector<TimedLabel>> read_audacity(const std::string& text, const Instant& origin,
                                                const std::filesystem::path& path);
std::string write_audacity(const LabelFile& file, const Instant& origin);

/// CSV with a header: class, from, to (seconds), and optionally stream, author, confidence, note. Rows without a stream
/// are about `stream`, where there is no such column. Other columns are errors. To be written, labels are about streams
/// that have an origin.
Expected<std::vector<TimedLabel>> read_label_csv(const std::string& text, const LabelOrigins& origins,
                                                 const std::string& stream, const std::filesystem::path& path);
std::string write_label_csv(const LabelFile& file, const LabelOrigins& origins);

}  // namespace sds

// What is asked for with sds export FORMAT.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "command.hpp"
#include "dataset.hpp"
#include "dataset_folder.hpp"
#include "exports.hpp"

namespace sds::cli {

enum class ExportFormat { csv, audio, hdf5, npz, qeexo, edge_impulse, mcap, images };

struct ExportCommand {
  ExportFormat format = ExportFormat::csv;
  std::string format_name;
  std::string extension;        // of the files, without dot
  std::set<std::string> given;  // the options that were, by their long names
  InputOptions input;
  PartOptions part;
  std::string output;
  std::vector<std::string> streams;
  ExportOptions exports;
  bool each = false;
  bool cbor = false;
  InfoLabelsOptions info_labels;
  unsigned jobs = 0;
  std::string split;
  SplitOptions split_options;
  std::shared_ptr<DatasetFolder> folder;  // of a dataset: `output` is where it is made,
  std::string output_named;               // and this what was asked for
  WindowOptions window;
  std::string window_text;
  std::string stride_text;
  std::vector<std::string> channels;
  bool json = false;
  std::vector<std::string> notes;  // recordings that are left out, and why; what others are called
};

/// Does it; returns the exit code.
int run_export(ExportCommand o);

}  // namespace sds::cli

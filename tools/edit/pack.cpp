#include "pack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "labels_along.hpp"
#include "labels_beside.hpp"
#include "sds/format/if_damaged.hpp"
#include "sds/format/names.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/format/plain_ticks.hpp"
#include "sds/format/source_fingerprint.hpp"
#include "sds/format/stream_files.hpp"
#include "sds/format/stream_losses.hpp"
#include "sds/format/worker_pool.hpp"
#include "session_ids.hpp"
#include "stream_copy.hpp"

namespace sds {

namespace {

// Files of one name could not both be unpacked. A recording's own streams are told apart by unpack.
Expected<void> check_unique_names(const Recording& input) {
  std::set<std::string> names;
  for (const auto& stream : input.streams())
    if (!input.sdsz() && !names.insert(stream.file_name()).second)
      return fail(ErrorCode::usage,
                  fmt::format("two inputs are named {}: they could not both be unpacked", stream.file_name()),
                  stream.path);
  return {};
}

void note_stream(const StreamInfo& stream, const BlockCursor& cursor, bool tail_kept, PackReport& report) {
  if (stream.metadata_error)
    report.notes.push_back(stream.metadata_error->to_string() + ": kept as text, blocks are stored as plain bytes");
  if (const auto tail = cursor.tail(); tail && tail_kept)
    report.remarks.push_back(fmt::format("{}: its torn end is kept as it is", stream.file_name()));
}

void remark_clocks(const Recording& input, PackReport& report) {
  if (!input.sdsz()) return;
  std::size_t pairs = 0;
  for (const auto& stream : input.sdsz()->streams()) pairs += stream.clocks.size();
  if (pairs > 0)
    report.remarks.push_back(
        fmt::format("{} clock pair{} left behind: plain files cannot hold them, and `sds merge` needs them", pairs,
                    pairs == 1 ? " is" : "s are"));
}

// A torn end that is damaged is lost like a damaged section. Returns why, or nothing.
Expected<std::optional<std::string>> take_tail(const Recording& input, std::size_t index, BlockCursor& cursor,
                                               const std::function<Expected<void>(ByteView)>& take) {
  auto done = cursor.read_tail(take);
  if (done) return std::nullopt;
  if (!input.sdsz() || done.error().code != ErrorCode::bad_input) return fail(done);
  Damage damage;
  damage.offset = done.error().offset.value_or(0);
  damage.reason = "the stream's torn end is lost: " + done.error().message;
  damage.stream = index;
  input.damage_log()->add(damage);
  return damage.reason;
}

Expected<void> pack_stream(const Recording& input, std::size_t index, SdszWriter& writer, PackReport& report,
                           const OnProgress& on_progress) {
  const StreamInfo& stream = input.streams()[index];
  StreamDescription description = stream.description;
  description.file_name = stream.file_name();
  // The name is in the file's name already unless somebody chose another.
  if (SdsFileName{description.name, description.label, description.playback}.to_string() == description.file_name)
    description.file_name.clear();
  auto id = writer.add_stream(description);
  if (!id) return fail(id);
  auto cursor = input.cursor(index);
  if (!cursor) return fail(cursor);
  StreamLosses losses(input, index);
  std::uint64_t unreported = 0;
  for (;;) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) break;
    if (auto done = add_gaps(writer, *id, losses.before(**block)); !done) return done;
    if (auto done = writer.append_at(*id, (*block)->tick, (*block)->data); !done) return done;
    ++report.blocks;
    unreported += (*block)->data.size() + 8;
    if (unreported < (1u << 18)) continue;
    if (auto go_on = sds::report(on_progress, std::exchange(unreported, 0)); !go_on) return go_on;
  }
  if (auto done = add_gaps(writer, *id, losses.at_end()); !done) return done;
  if (input.sdsz())
    for (const auto& pair : input.sdsz()->streams()[index].clocks)
      if (auto done = writer.add_clock(*id, pair); !done) return done;
  auto lost = take_tail(input, index, **cursor, [&](ByteView bytes) { return writer.append_tail(*id, bytes); });
  if (!lost) return fail(lost);
  if (*lost)
    if (auto done = writer.add_gap(*id, **lost); !done) return done;
  note_stream(stream, **cursor, !*lost, report);
  return writer.end_stream(*id);
}

Expected<void> unpack_stream(const Recording& input, std::size_t index, const std::filesystem::path& path,
                             IfExists if_exists, Executor* executor, PackReport& report, const OnProgress& on_progress,
                             const std::function<Expected<void>(PartialFile&)>& keep) {
  auto cursor = input.cursor(index, executor);
  if (!cursor) return fail(cursor);
  auto file = PartialFile::create(path, if_exists);
  if (!file) return fail(file);
  PlainWriter writer(file->borrow_sink());
  StreamLosses losses(input, index);
  PlainTicks ticks;
  std::size_t lost = 0;
  // What may be missing where nobody writes any more is a loss of a copy, too.
  const bool grows = input.sdsz() && input.sdsz()->being_written();
  const auto count = [&](const std::vector<StreamLosses::Loss>& found) {
    for (const auto& loss : found) {
      if (loss.known || !grows) {
        ++lost;
      } else {
        report.notes.push_back(input.streams()[index].file_name() + ": " + loss.reason);
      }
    }
  };
  std::uint64_t unreported = 0;
  for (;;) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) break;
    count(losses.before(**block));
    ticks.add((*block)->tick);
    if (auto done = writer.append((*block)->timeslot, (*block)->data); !done) return done;
    ++report.blocks;
    report.raw_bytes += (*block)->data.size() + 8;
    unreported += (*block)->data.size() + 8;
    if (unreported < (1u << 18)) continue;
    if (auto go_on = sds::report(on_progress, std::exchange(unreported, 0)); !go_on) return go_on;
  }
  auto lost_tail = take_tail(input, index, **cursor, [&](ByteView bytes) {
    report.raw_bytes += bytes.size();
    return writer.append_raw(bytes);
  });
  if (!lost_tail) return fail(lost_tail);
  note_stream(input.streams()[index], **cursor, !*lost_tail, report);
  for (const auto& note : ticks.notes())
    report.notes.push_back(fmt::format("{}: {}", input.streams()[index].file_name(), note));
  count(losses.at_end());
  if (lost > 0)
    report.notes.push_back(fmt::format("{}: {} loss{} in the recording: a plain file cannot hold where",
                                       input.streams()[index].file_name(), lost, lost == 1 ? "" : "es"));
  report.losses += lost;
  if (auto closed = writer.close(); !closed) return closed;
  return keep(*file);
}

// Where a recording has labels, the names of its streams say no class; the files that they become would. Those that are
// not found with the first one get the labels about them. The others get none, and keep none of what they replace.
struct FileLabels {
  LabelsBeside beside;
  std::optional<std::string> text;
};
Expected<std::vector<FileLabels>> labels_of_files(const Recording& input, PackReport& report, bool force) {
  std::vector<FileLabels> all(report.files.size());
  const auto own = label_path(input.path());
  const bool has_labels = may_exist(own);
  for (std::size_t i = 1; i < report.files.size(); ++i) {
    const bool says_class = has_labels && !class_in_label(input.streams()[i].description.label).empty();
    all[i].beside = LabelsBeside(report.files[i].data, force, says_class ? std::filesystem::path() : own);
    if (auto ok = all[i].beside.refuse(); !ok) return fail(ok);
    if (!says_class) continue;
    EditReport edit;
    auto part = labels_of_part(input, {i}, all_time, edit);
    auto text = part ? part->checked_yaml() : fail(part);
    if (!text) return fail(text);
    for (auto& note : edit.notes) report.notes.push_back(std::move(note));
    all[i].text = std::move(*text);
  }
  return all;
}

// What several plain files say together is what the copy says; where that is what is beside the first one, it is copied
// as it is.
Expected<void> take_labels_of_all_files(const Recording& input, LabelsAlong& labels, PackReport& report) {
  const auto files = label_files(input);
  if (input.sdsz() || input.streams().size() < 2 || files.empty()) return {};
  auto sound = sound_labels_of(input, report.notes);
  if (!sound) return fail(sound);
  if (!*sound) return {};
  const LabelFile* const all = &**sound;
  const bool beside_first = files.front() == label_path(input.path());
  const auto first = labels_beside(input);
  if (!first && is_unread(first.error())) return fail(first);
  if (beside_first && first && first->labels == all->labels && first->classes == all->classes &&
      first->tick_frequency == all->tick_frequency)
    return {};
  if (auto note = note_of_rounded(*all)) report.notes.push_back(std::move(*note));
  auto text = all->checked_yaml();
  if (!text) return fail(text);
  if (!labels.write_instead(std::move(*text)))
    report.notes.push_back(
        "labels beside other files, and those of names, are left behind: those beside the first "
        "file are those of the copy");
  return {};
}

// Labels that were about the stream of one file may be about none of several: ids are longer where names repeat.
void note_strange_labels(const Recording& input, const std::optional<std::string>& text, PackReport& report) {
  if (report.labels.empty() || !text) return;
  const auto labels = LabelFile::parse(*text, report.labels);
  if (!labels) return;  // told by who reads them
  std::map<std::string, std::size_t> strange;
  for (const auto& label : labels->labels)
    if (!label.stream.empty()) ++strange[label.stream];
  std::string there;
  for (const auto& stream : input.streams()) {
    strange.erase(stream.id);
    there += (there.empty() ? "" : ", ") + stream.id;
  }
  for (const auto& [name, count] : strange)
    report.notes.push_back(
        fmt::format("{}: {} label{} about the stream '{}', which the recording does not have (there "
                    "is: {}): they count for nothing until that is changed",
                    report.labels.string(), count, count == 1 ? " is" : "s are", name, there));
}

}  // namespace

Expected<PackReport> pack(const Recording& input, const std::filesystem::path& output, const PackOptions& options,
                          const OnProgress& on_progress) {
  if (auto ok = refuse_existing(output, options.force); !ok) return fail(ok);
  if (auto ok = check_unique_names(input); !ok) return fail(ok);
  auto labels = LabelsAlong::plan(input.path(), output, options.force);
  if (!labels) return fail(labels);
  const auto pool = make_worker_pool(options.threads);
  SdszWriterOptions writer_options;
  writer_options.level = options.level;
  writer_options.section_bytes = options.section_bytes;
  writer_options.executor = pool.get();
  // Nothing of the moment or the machine goes into the file: the same input gives the same bytes.
  auto session = session_from(input);
  if (!session) return fail(session);
  if (!input.sdsz()) session->set("tool", "sdskit pack");
  // Another recording, whose sections must not be taken for the input's: where that is damaged, blocks get new numbers.
  auto source = SourceFingerprint().add(input).to_string();
  if (!source) return fail(source);
  session->set("source", std::move(*source));
  auto file = PartialFile::create(output, if_exists(options.force));
  if (!file) return fail(file);
  auto writer = SdszWriter::create(file->borrow_sink(), *session, writer_options);
  if (!writer) return fail(writer);
  PackReport report;
  if (auto done = take_labels_of_all_files(input, *labels, report); !done) return fail(done);
  for (std::size_t i = 0; i < input.streams().size(); ++i)
    if (auto done = pack_stream(input, i, *writer, report, on_progress); !done) return fail(done);
  report.streams = input.streams().size();
  report.raw_bytes = writer->raw_bytes();
  if (auto closed = writer->close(); !closed) return fail(closed);
  report.stored_bytes = writer->stored_bytes();
  auto copied = labels->keep(*file, report.notes);
  if (!copied) return fail(copied);
  report.labels = std::move(*copied);
  note_strange_labels(input, labels->text(), report);
  return report;
}

Expected<PackReport> unpack(const Recording& input, const std::filesystem::path& directory,
                            const UnpackOptions& options, const OnProgress& on_progress) {
  PackReport report;
  std::vector<StreamDescription> descriptions;
  for (const auto& stream : input.streams()) descriptions.push_back(stream.description);
  const auto files = plain_files_of(descriptions);
  std::map<std::string, const std::string*> metadata;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& d = descriptions[i];
    if (!d.metadata_file_name.empty()) metadata.emplace(files[i].metadata, &d.metadata_text);
    report.files.push_back({directory / files[i].data, files[i].metadata});
    if (files[i].data != files[i].recorded)
      report.notes.push_back(fmt::format("stream {} is unpacked as {}: '{}' is no name for a file, or taken",
                                         input.streams()[i].id, files[i].data, files[i].recorded));
    if (!d.metadata_file_name.empty() && files[i].metadata != d.metadata_file_name)
      report.notes.push_back(
          fmt::format("the metadata of stream {} are unpacked as {}: '{}' is no name for a file, or "
                      "taken",
                      input.streams()[i].id, files[i].metadata, d.metadata_file_name));
  }
  if (auto made = make_directories(directory); !made) return fail(made);
  for (const auto& file : report.files)
    if (auto ok = refuse_existing(file.data, options.force); !ok) return fail(ok);
  for (const auto& [name, text] : metadata)
    if (auto ok = refuse_existing(directory / name, options.force); !ok) return fail(ok);
  std::optional<LabelsAlong> labels;
  if (!report.files.empty()) {
    auto planned = LabelsAlong::plan(input.path(), report.files.front().data, options.force);
    if (!planned) return fail(planned);
    labels = std::move(*planned);
  }
  auto file_labels = labels_of_files(input, report, options.force);
  if (!file_labels) return fail(file_labels);
  const auto pool = make_worker_pool(options.threads);
  report.streams = input.streams().size();
  std::vector<std::filesystem::path> named;
  std::vector<std::string> put_away;
  const auto failed = [&](Error& error) {
    tell_what_is_there(error, named, put_away);
    return tl::unexpected<Error>(std::move(error));
  };
  for (std::size_t i = 0; i < input.streams().size(); ++i) {
    const auto keep = [&](PartialFile& file) -> Expected<void> {
      const FileLabels& own = (*file_labels)[i];
      if (i > 0) return own.beside.keep(file, own.text, put_away);
      auto copied = labels->keep(file, put_away);
      if (copied) report.labels = std::move(*copied);
      return copied ? Expected<void>() : fail(copied);
    };
    if (auto done = unpack_stream(input, i, report.files[i].data, if_exists(options.force), pool.get(), report,
                                  on_progress, keep);
        !done)
      return failed(done.error());
    named.push_back(report.files[i].data);
  }
  for (const auto& [name, text] : metadata) {
    if (auto done = write_text_file(directory / name, *text, if_exists(options.force)); !done)
      return failed(done.error());
    named.push_back(directory / name);
  }
  report.notes.insert(report.notes.end(), put_away.begin(), put_away.end());
  if (!report.labels.empty() && report.files.size() > 1)
    report.notes.push_back(
        fmt::format("the labels are in {}: those about no stream are of the whole recording where {} is named first, "
                    "else of its stream",
                    report.labels.string(), report.files.front().data.filename().string()));
  remark_clocks(input, report);
  if (input.sdsz()) {
    auto size = input.sdsz()->file()->size();
    report.stored_bytes = size ? *size : 0;
  }
  return report;
}

}  // namespace sds

#include "sds/recorder/sdsio_connection.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "log_limiter.hpp"
#include "packed_playback.hpp"
#include "reply_queue.hpp"
#include "sds/format/names.hpp"
#include "sds/recorder/server_limits.hpp"

namespace sds {

using sdsio::Command;
using sdsio::Header;

namespace {
constexpr std::uint32_t kRead = 0;  // OPEN's mode
constexpr std::uint32_t kWrite = 1;
// Lines of the log that a device can cause at once; then one a second.
constexpr unsigned kComplaints = 20;
// FLAGS are sent from this tick on, 300 ms after connecting, to a device that was not heard.
constexpr unsigned kSilentTicks = 3;
// A device that was not read from for so long may have had its bytes waiting.
constexpr std::uint64_t kLateNs = 50'000'000;

// The place of one file that is played back.
class PlaybackShare {
 public:
  explicit PlaybackShare(ServerShared& shared)
      : files_(&shared.playback_files),
        descriptors_(&shared.descriptors),
        taken_(files_.take(1) && descriptors_.take(1)) {}
  [[nodiscard]] bool taken() const { return taken_; }

 private:
  TotalShare files_;
  TotalShare descriptors_;
  bool taken_;
};
}  // namespace

ServerShared::ServerShared(const ServerOptions& o)
    : options(o),
      unfinished(server_limits::unfinished_bytes_total),
      open_blocks(server_limits::open_bytes_total),
      descriptors(o.descriptors),
      playback_files(server_limits::playback_files) {}

SdsioConnection::SdsioConnection(ServerShared& shared, std::string peer, std::shared_ptr<TotalShare> descriptors,
                                 Host host)
    : shared_(shared),
      peer_(std::move(peer)),
      descriptors_(std::move(descriptors)),
      host_(std::move(host)),
      replies_(std::make_unique<ReplyQueue>(host_.on_disk, host_.output_ready)),
      log_(std::make_unique<LogLimiter>(kComplaints)) {
  set_flags_ = shared_.user_flags;
  if (shared_.options.protocol == Protocol::before_3) flags_ = Flags::never_before_info;
  if (shared_.options.protocol == Protocol::from_3) flags_ = Flags::always;
  playback_ = shared_.options.playback;
  if (playback_) {
    set_flags_ |= sdsio::flag_start | sdsio::flag_playback;
    start_pending_ = true;
  }
}

SdsioConnection::~SdsioConnection() = default;

std::span<std::byte> SdsioConnection::buffer() {
  if (batch_.bytes.empty()) {
    if (recorder_) batch_ = recorder_->take_spare();
    batch_.bytes.resize(server_limits::batch_bytes);
  }
  return batch_.bytes;
}

Expected<bool> SdsioConnection::received(std::size_t count) {
  batch_.arrival = shared_.options.now();
  batch_.arrival.prompt = !late_;
  if (count < batch_.bytes.size()) late_ = false;  // the link is empty: what comes next comes then
  parse_begin_ = 0;
  parse_end_ = count;
  return advance();
}

Expected<bool> SdsioConnection::advance() {
  while (parse_begin_ < parse_end_ && !opening_) {
    parse_origin_ = looked_at_ = parse_begin_;
    broken_ = true;  // where an exception comes between, the decoder's place in the messages is lost
    auto taken = decoder_.push(ByteView(batch_.bytes).subspan(parse_begin_, parse_end_ - parse_begin_), *this);
    broken_ = false;
    if (taken && failure_) taken = tl::unexpected<Error>(*failure_);
    if (!taken) {
      parse_begin_ = parse_end_ = 0;
      return fail(taken);
    }
    parse_begin_ += *taken;
  }
  if (opening_ || (recorder_ && !recorder_->try_push(batch_))) {
    pause();
    return false;
  }
  batch_.slices.clear();
  if (paused_since_ns_ && shared_.options.now().monotonic_ns - *paused_since_ns_ > kLateNs) late_ = true;
  paused_since_ns_.reset();
  return true;
}

void SdsioConnection::pause() {
  if (!paused_since_ns_) paused_since_ns_ = shared_.options.now().monotonic_ns;
}

// Hands over what came so far, ahead of what the rest of the batch brings.
void SdsioConnection::push_slices_now() {
  if (batch_.slices.empty()) return;
  ReceivedBatch ahead;
  ahead.arrival = batch_.arrival;
  for (auto slice : batch_.slices) {
    const std::size_t begin = ahead.bytes.size();
    append_bytes(ahead.bytes, ByteView(batch_.bytes).subspan(slice.begin, slice.size));
    slice.begin = begin;
    ahead.slices.push_back(slice);
  }
  recorder_->push(ahead);
  batch_.slices.clear();
}

void SdsioConnection::tick() {
  if (flags_ == Flags::not_yet && ++ticks_ > kSilentTicks) flags_ = Flags::always;
  if (flags_ != Flags::always) return;
  flags_due_ = true;
  host_.output_ready();
}

void SdsioConnection::take_output(Bytes& out) {
  if (flags_due_) {
    // Only who is told them takes them: a peer that goes before, or makes noise, is no device.
    if (const auto set = std::exchange(shared_.set_flags, 0), clear = std::exchange(shared_.clear_flags, 0);
        (set | clear) != 0)
      change_flags(set, clear);
    append_bytes(out, Header{Command::flags, set_flags_ | sdsio::flag_alive, clear_flags_, 0}.encode());
    set_flags_ = clear_flags_ = 0;
    flags_due_ = false;
  }
  replies_->take(out);
}

Bytes SdsioConnection::farewell() const {
  Bytes out;
  if (flags_ == Flags::always) append_bytes(out, Header{Command::flags, 0, sdsio::flag_alive, 0}.encode());
  return out;
}

void SdsioConnection::change_flags(std::uint32_t set, std::uint32_t clear) {
  set_flags_ = (set_flags_ | set) & ~clear;
  clear_flags_ = (clear_flags_ | clear) & ~set;
  if ((set & sdsio::flag_playback) != 0) playback_ = true;
  if ((clear & sdsio::flag_playback) != 0 && !shared_.options.playback) playback_ = false;
}

void SdsioConnection::ask_to_stop() {
  asked_to_stop_ = true;
  start_pending_ = false;
  change_flags(0, sdsio::flag_start);
  if (flags_ != Flags::always) return;
  flags_due_ = true;
  host_.output_ready();
}

bool SdsioConnection::may_stop() const {
  const bool started = (device_flags_ & sdsio::flag_start) != 0 || asked_to_stop_;
  return flags_ == Flags::always && started && !is_idle() && !waits_for_space();
}

void SdsioConnection::on_write(std::uint32_t handle, std::size_t begin, std::size_t size) {
  if (flags_ == Flags::not_yet) flags_ = Flags::never_before_info;
  looked_at_ = parse_origin_ + begin;
  if (writing_.count(handle) == 0) {
    if (refused_bytes_.size() < server_limits::max_open_streams || refused_bytes_.count(handle) != 0) {
      if (refused_bytes_.count(handle) == 0)
        complain(fmt::format("WRITE to handle {}, which is not open for writing: refused", handle));
      refused_bytes_[handle] += size;
    }
    looked_at_ += size;
    return;
  }
  batch_.slices.push_back({handle, parse_origin_ + begin, size, false});
  looked_at_ += size;
}

bool SdsioConnection::on_message(const Header& header, ByteView text) {
  learn_version(header);
  switch (header.command) {
    case Command::open: {
      std::string name(as_text(text));
      while (!name.empty() && name.back() == '\0') name.pop_back();
      open(header, name);
      break;
    }
    case Command::close:
      close(header.handle);
      break;
    case Command::read:
      reply(replies_->add_read(header.handle, playback_of(header.handle), header.argument));
      break;
    case Command::ping:
      spdlog::debug("device   {}: ping", peer_);
      reply(header.handle == 0 ? replies_->add({Command::ping, 0, 1, 0})
                               : replies_->add_end_query(header.handle, playback_of(header.handle)));
      break;
    case Command::info:
      info(header, text);
      break;
    case Command::flags:
    case Command::write:
      break;  // FLAGS goes the other way only; WRITE comes through on_write
  }
  return !opening_ && !failure_;
}

void SdsioConnection::learn_version(const Header& header) {
  if (header.command == Command::info) {
    flags_ = Flags::always;
  } else if (flags_ == Flags::not_yet) {
    flags_ = Flags::never_before_info;  // 1.x or 2.x, or a 3.x device that does not ask for flags
  }
}

void SdsioConnection::complain(const std::string& text) {
  const auto hidden = log_->due();
  if (hidden)
    spdlog::error("device   {}: {}{}", peer_, text, *hidden == 0 ? "" : fmt::format(" ({} lines left out)", *hidden));
}

void SdsioConnection::reply(bool queued) {
  if (queued) return host_.output_ready();
  failure_ = Error{
      ErrorCode::limit, fmt::format("it does not read our replies ({} wait)", server_limits::queued_replies), {}, {}};
}

Expected<void> SdsioConnection::check_open(const Header& header, const std::string& name) const {
  const bool writes = header.argument == kWrite;
  const auto same_name = [&](const auto& item) { return item.second == name; };
  if (auto ok = check_stream_name(name); !ok) return ok;
  if (leaving_) return fail(ErrorCode::bad_input, "the connection has ended");
  if (header.argument > kWrite) return fail(ErrorCode::bad_input, "unknown mode");
  if (writing_.size() + reading_.size() >= server_limits::max_open_streams)
    return fail(ErrorCode::limit, fmt::format("more than {} open streams", server_limits::max_open_streams));
  if (writes && std::any_of(writing_.begin(), writing_.end(), same_name))
    return fail(ErrorCode::bad_input, "it is open already");
  return {};
}

// Never 0, which is a refusal.
std::uint32_t SdsioConnection::next_handle() {
  std::uint32_t& last = shared_.options.dial || shared_.options.serial ? shared_.last_handle : last_handle_;
  if (++last == 0) ++last;
  return last;
}

void SdsioConnection::open(const Header& header, const std::string& name) {
  const std::uint32_t handle = next_handle();
  const auto result = check_open(header, name);
  if (result) return header.argument == kWrite ? begin_recording(handle, name) : begin_playback(handle, name);
  answer_open(handle, header.argument, name, result);
}

void SdsioConnection::answer_open(std::uint32_t handle, std::uint32_t mode, const std::string& name,
                                  const Expected<void>& result) {
  if (!result)
    complain(fmt::format("cannot open '{}' for {}: {}", name, mode == kWrite ? "recording" : "playback",
                         result.error().to_string()));
  reply(replies_->add({Command::open, result ? handle : 0, mode, 0}));
}

void SdsioConnection::begin_recording(std::uint32_t handle, const std::string& name) {
  if (!recorder_)
    if (auto made = make_recorder(); !made) {
      shared_.recorders.note_loss(made.error());
      return answer_open(handle, kWrite, name, made);
    }
  push_slices_now();  // a CLOSE in this batch ends the session before
  SessionOptions session;
  session.directory = shared_.options.directory;
  session.packed = shared_.options.packed;
  session.level = shared_.options.level;
  session.durability = shared_.options.durability;
  session.executor = shared_.executor;
  session.device = peer_;
  session.playback = playback_;
  session.labels = &shared_.labels;
  session.label = playback_label_;
  session.unfinished = &shared_.unfinished;
  session.descriptors = &shared_.descriptors;
  session.open_blocks = &shared_.open_blocks;
  opening_ = Opening{handle, name, false};
  recorder_->open_stream(handle, name, session);
}

void SdsioConnection::opened(std::uint32_t handle, const Expected<void>& result) {
  if (!opening_ || opening_->handle != handle) return;
  if (result) writing_[handle] = opening_->name;
  answer_open(handle, kWrite, opening_->name, result);
  opening_.reset();
}

Expected<void> SdsioConnection::make_recorder() {
  const ServerOptions& server = shared_.options;
  RecorderThread::Options options;
  options.device = peer_;
  options.flush_interval = server.flush_interval;
  if (server.make_session) options.make_session = server.make_session;
  options.space.directory = server.directory;
  options.space.keep_free = server.keep_free;
  options.space.on_full = server.on_full;
  options.space.device = peer_;
  options.space.free_bytes = server.free_bytes;
  options.space.retry = server.full_retry;
  options.descriptors = descriptors_;
  options.make_thread = server.make_thread;
  try {
    recorder_ = std::make_unique<RecorderThread>(
        std::move(options), shared_.recorders,
        RecorderThread::Callbacks{host_.post_opened, host_.post_resume, host_.post_give_up});
  } catch (const std::system_error& error) {
    return fail_errno(error.code().value(), "no thread can be had for it", {});
  }
  return {};
}

// What is played back of a stream under a number: the plain file of that name, or else the recording of that number.
struct SdsioConnection::PlaybackNames {
  std::string stream;
  std::filesystem::path plain;
  std::filesystem::path packed;

  [[nodiscard]] bool is_packed() const {
    std::error_code ignored;
    return !std::filesystem::exists(plain, ignored) && std::filesystem::exists(packed, ignored);
  }
  /// Whether there is one that can be opened; what is damaged is told.
  [[nodiscard]] bool is_there(const std::string& peer) const {
    std::error_code ignored;
    if (!is_packed()) return std::filesystem::exists(plain, ignored);
    const auto opened = PackedPlayback::open(packed, stream);
    if (!opened && opened.error().code != ErrorCode::usage)
      spdlog::error("playback {}: {}", peer, opened.error().to_string());
    return opened.has_value();
  }
};

SdsioConnection::PlaybackNames SdsioConnection::playback_names(const std::string& stream) const {
  const auto& folder = shared_.options.directory;
  const std::string label = std::to_string(playback_label_);
  return {stream, folder / SdsFileName{stream, label, false}.to_string(), folder / ("recording." + label + ".sdsz")};
}

std::shared_ptr<PlaybackFile> SdsioConnection::playback_of(std::uint32_t handle) const {
  const auto found = reading_.find(handle);
  return found == reading_.end() ? nullptr : found->second;
}

void SdsioConnection::begin_playback(std::uint32_t handle, const std::string& name) {
  const auto refuse = [&](ErrorCode code, const std::string& why) {
    answer_open(handle, kRead, name, fail(code, why));
  };
  if (!playback_) return refuse(ErrorCode::usage, "the server is not in playback mode (start it with --playback)");
  auto place = std::make_shared<PlaybackShare>(shared_);
  if (!place->taken())
    return refuse(ErrorCode::limit, fmt::format("{} files are being played back already, or no descriptor is left",
                                                shared_.playback_files.used()));
  opening_ = Opening{handle, name, true};
  auto opened = std::make_shared<Expected<std::shared_ptr<PlaybackFile>>>(
      std::make_shared<PlaybackFile>(PlaybackFile{nullptr, name, 0, 0, std::move(place)}));
  host_.on_disk(
      [opened, names = playback_names(name), open = shared_.options.open_file, peer = peer_] {
        Expected<std::shared_ptr<const ByteSource>> file;
        if (names.is_packed()) {
          auto packed = PackedPlayback::open(names.packed, names.stream);
          if (packed && !(*packed)->note().empty()) spdlog::warn("playback {}: {}", peer, (*packed)->note());
          file = packed ? Expected<std::shared_ptr<const ByteSource>>(*packed) : fail(packed);
        } else {
          file = open(names.plain);
        }
        auto bytes = file ? (*file)->size() : fail(file);
        if (!bytes) {
          *opened = fail(bytes);
          return;
        }
        (**opened)->file = std::move(*file);
        (**opened)->bytes = *bytes;
      },
      [this, handle, opened]() -> Expected<void> {
        playback_opened(handle, *opened);
        return {};
      });
}

void SdsioConnection::playback_opened(std::uint32_t handle, const Expected<std::shared_ptr<PlaybackFile>>& opened) {
  if (!opening_ || opening_->handle != handle) return;
  const std::string name = opening_->name;
  opening_.reset();
  if (!opened) {
    continue_playback();
    return answer_open(handle, kRead, name, fail(opened));
  }
  if (log_->due()) spdlog::info("playback {}: {} <- {}", peer_, name, (*opened)->file->path().string());
  playback_stream_ = name;
  reading_[handle] = *opened;
  answer_open(handle, kRead, name, {});
}

void SdsioConnection::close(std::uint32_t handle) {
  if (writing_.erase(handle) != 0) {
    batch_.slices.push_back({handle, 0, 0, true});
    if (writing_.empty()) host_.session_ended();
  } else if (reading_.erase(handle) == 0) {
    complain(fmt::format("CLOSE of handle {}, which is not open", handle));
    return;
  }
  if (writing_.empty() && reading_.empty()) all_closed();
}

void SdsioConnection::all_closed() {
  if (!playback_ || playback_stream_.empty()) return;
  ++playback_label_;
  if ((device_flags_ & sdsio::flag_start) == 0) continue_playback();
}

bool SdsioConnection::may_continue_playback() const {
  return shared_.options.playback && !terminate_sent_ && !asked_to_stop_ && is_idle();
}

// In automatic playback: asks for the next file, or says that there is none.
void SdsioConnection::continue_playback() {
  if (!may_continue_playback() || looks_for_next_) return;
  if (playback_stream_.empty()) return next_playback(false);
  looks_for_next_ = true;
  auto found = std::make_shared<bool>(false);
  host_.on_disk([found, names = playback_names(playback_stream_), peer = peer_] { *found = names.is_there(peer); },
                [this, found]() -> Expected<void> {
                  looks_for_next_ = false;
                  if (may_continue_playback()) next_playback(*found);
                  return {};
                });
}

void SdsioConnection::next_playback(bool there_is_one) {
  if (there_is_one) {
    set_flags_ |= sdsio::flag_start | sdsio::flag_playback;
    start_pending_ = true;
    return;
  }
  spdlog::info("playback {}: complete", peer_);
  terminate_sent_ = true;
  set_flags_ |= sdsio::flag_terminate;
  host_.playback_done();
}

void SdsioConnection::info(const Header& header, ByteView text) {
  if (device_flags_ != header.handle) spdlog::debug("device   {}: sdsFlags = {:#010x}", peer_, header.handle);
  const bool stopped = (device_flags_ & sdsio::flag_start) != 0 && (header.handle & sdsio::flag_start) == 0;
  device_flags_ = header.handle;
  if ((device_flags_ & sdsio::flag_start) != 0) start_pending_ = false;
  if (!shared_.options.playback) playback_ = (device_flags_ & sdsio::flag_playback) != 0;
  if (header.argument != idle_rate_ && header.argument != 0xFFFFFFFF)
    spdlog::debug("device   {}: {} % idle", peer_, header.argument);
  idle_rate_ = header.argument;
  if (text.size() >= 8) {
    const auto status = load_le<std::int32_t>(text.data());
    const auto line = load_le<std::uint32_t>(text.data() + 4);
    complain(fmt::format("the device reports {} at {}:{}",
                         status == 0 ? std::string("a failed assertion") : fmt::format("error {}", status),
                         as_text(text.subspan(8)), line));
  }
  if (stopped && !start_pending_ && !playback_stream_.empty()) continue_playback();
}

std::unique_ptr<RecorderThread> SdsioConnection::disconnected(const std::string& reason, const std::string& not_taken) {
  leaving_ = true;
  if (opening_ && !opening_->for_playback)
    writing_[opening_->handle] = opening_->name;  // the writer thread may be opening it yet
  opening_.reset();
  if (!broken_) (void)advance();  // what was received and not looked at
  push_slices_now();
  std::string why = reason;
  if (decoder_.inside_message()) why += " in the middle of a message";
  why += not_taken;
  if (!writing_.empty()) host_.session_ended();
  for (const auto& [handle, name] : writing_) recorder_->close_stream(handle, why);
  writing_.clear();
  reading_.clear();
  std::uint64_t refused = 0;
  for (const auto& [handle, bytes] : refused_bytes_) refused += bytes;
  if (refused > 0)
    spdlog::warn("refused  {}: {} bytes that were written to {} handles that were not open", peer_, refused,
                 refused_bytes_.size());
  refused_bytes_.clear();
  if (log_->hidden() > 0) spdlog::warn("device   {}: {} lines about it were left out", peer_, log_->hidden());
  return std::move(recorder_);
}

std::unique_ptr<RecorderThread> SdsioConnection::dropped(std::size_t unread) noexcept {
  const std::size_t behind = broken_ ? 0 : parse_end_ - parse_begin_;
  if (recorder_) recorder_->note_not_taken(batch_.data_bytes() + bytes_not_looked_at() + behind + unread);
  return std::move(recorder_);
}

}  // namespace sds

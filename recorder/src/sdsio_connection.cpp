#include "sds/recorder/sdsio_connection.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "sds/format/names.hpp"

namespace sds {

using sdsio::Command;
using sdsio::Header;

namespace {
constexpr std::size_t kBatchBytes = std::size_t{1} << 18;
constexpr std::uint32_t kMaxReadBytes = 1u << 20;  // one READ reply
constexpr std::uint32_t kMaxOpenStreams = 256;     // a device has a handful
}  // namespace

SdsioConnection::SdsioConnection(ServerShared& shared, std::string peer, Transport transport)
    : shared_(shared), peer_(std::move(peer)), transport_(std::move(transport)) {
  set_flags_ = shared_.set_flags;
  playback_ = shared_.options.playback;
  if (playback_) {
    set_flags_ |= sdsio::flag_start | sdsio::flag_playback;
    start_pending_ = true;
  }
  // The session is made on the writer thread, while the receive thread waits in open_stream().
  recorder_ = std::make_unique<RecorderThread>(
      [this] { return next_session_.packed ? make_packed_session(next_session_) : make_plain_session(next_session_); },
      shared_.options.flush_interval, transport_.resume, transport_.give_up);
}

SdsioConnection::~SdsioConnection() = default;

std::span<std::byte> SdsioConnection::buffer() {
  if (batch_.bytes.empty()) {
    batch_ = recorder_->take_spare();
    batch_.bytes.resize(kBatchBytes);
  }
  return batch_.bytes;
}

Expected<bool> SdsioConnection::received(std::size_t count) {
  auto done = decoder_.push(ByteView(batch_.bytes).first(count), *this);
  if (!done) {
    push_slices_now();
    return fail(done);
  }
  return retry();
}

bool SdsioConnection::retry() { return recorder_->try_push(batch_); }

void SdsioConnection::push_slices_now() {
  if (batch_.slices.empty()) return;
  ReceivedBatch ahead;
  for (auto slice : batch_.slices) {
    const std::size_t begin = ahead.bytes.size();
    append_bytes(ahead.bytes, ByteView(batch_.bytes).subspan(slice.begin, slice.size));
    slice.begin = begin;
    ahead.slices.push_back(slice);
  }
  batch_.slices.clear();
  recorder_->push(std::move(ahead));
}

void SdsioConnection::tick() {
  const Header flags{Command::flags, set_flags_ | sdsio::flag_alive, clear_flags_, 0};
  set_flags_ = clear_flags_ = 0;
  transport_.send(flags.encode());
}

void SdsioConnection::change_flags(std::uint32_t set, std::uint32_t clear) {
  set_flags_ = (set_flags_ | set) & ~clear;
  clear_flags_ = (clear_flags_ | clear) & ~set;
  if ((set & sdsio::flag_playback) != 0) playback_ = true;
  if ((clear & sdsio::flag_playback) != 0 && !shared_.options.playback) playback_ = false;
}

void SdsioConnection::on_write(std::uint32_t handle, std::size_t begin, std::size_t size) {
  if (writing_.count(handle) == 0) {
    if (refused_bytes_.size() < kMaxOpenStreams || refused_bytes_.count(handle) != 0) {
      if (refused_bytes_.count(handle) == 0)
        spdlog::warn("{}: WRITE to handle {}, which is not open for writing: refused", peer_, handle);
      refused_bytes_[handle] += size;
    }
    return;
  }
  batch_.slices.push_back({handle, begin, size, false});
}

void SdsioConnection::on_message(const Header& header, ByteView text) {
  switch (header.command) {
    case Command::open: {
      std::string name(as_text(text));
      while (!name.empty() && name.back() == '\0') name.pop_back();
      return open(header, std::move(name));
    }
    case Command::close:
      return close(header.handle);
    case Command::read:
      return read(header);
    case Command::ping:
      spdlog::debug("{}: ping", peer_);
      return transport_.send(Header{Command::ping, header.handle, 1, 0}.encode());
    case Command::info:
      return info(header, text);
    case Command::flags:
    case Command::write:
      return;  // FLAGS goes the other way only; WRITE comes through on_write
  }
}

void SdsioConnection::open(const Header& header, std::string name) {
  const bool writes = header.argument == 1;
  const std::uint32_t handle = last_handle_ + 1;
  Expected<void> opened = check_stream_name(name);
  const auto same_name = [&](const auto& item) { return item.second == name; };
  if (opened && header.argument > 1) opened = fail(ErrorCode::bad_input, "unknown mode");
  if (opened && writing_.size() + reading_.size() >= kMaxOpenStreams)
    opened = fail(ErrorCode::limit, fmt::format("more than {} open streams", kMaxOpenStreams));
  if (opened && writes && std::any_of(writing_.begin(), writing_.end(), same_name))
    opened = fail(ErrorCode::bad_input, "it is open already");
  if (opened) opened = writes ? open_for_recording(handle, name) : open_for_playback(handle, name);
  if (opened) {
    last_handle_ = handle;
  } else {
    spdlog::error("{}: cannot open '{}' for {}: {}", peer_, name, writes ? "recording" : "playback",
                  opened.error().to_string());
  }
  transport_.send(Header{Command::open, opened ? handle : 0, header.argument, 0}.encode());
}

Expected<void> SdsioConnection::open_for_recording(std::uint32_t handle, const std::string& name) {
  push_slices_now();  // a CLOSE in this batch ends the session before
  if (writing_.empty() && reading_.empty() && !playback_ && !shared_.options.packed) {
    // The first stream of a session picks the label for all of them (theory.md, Filenames).
    std::uint32_t label = shared_.last_label ? *shared_.last_label + 1 : 0;
    std::error_code ignored;
    if (!shared_.last_label)
      while (std::filesystem::exists(
          shared_.options.directory / SdsFileName{name, std::to_string(label), false}.to_string(), ignored))
        ++label;
    shared_.last_label = label;
    next_session_.label = label;
  }
  if (writing_.empty()) {
    next_session_.directory = shared_.options.directory;
    next_session_.packed = shared_.options.packed;
    next_session_.level = shared_.options.level;
    next_session_.sync = shared_.options.sync;
    next_session_.executor = shared_.executor;
    next_session_.device = peer_;
    next_session_.playback = playback_;
    if (playback_) next_session_.label = playback_label_;
  }
  if (auto opened = recorder_->open_stream(handle, name); !opened) return opened;
  writing_[handle] = name;
  has_recorded_ = true;
  return {};
}

std::filesystem::path SdsioConnection::playback_path(const std::string& name) const {
  return shared_.options.directory / SdsFileName{name, std::to_string(playback_label_), false}.to_string();
}

Expected<void> SdsioConnection::open_for_playback(std::uint32_t handle, const std::string& name) {
  if (!playback_) return fail(ErrorCode::usage, "the server is not in playback mode (start it with --playback)");
  auto file = InputFile::open(playback_path(name));
  if (!file) {
    continue_playback();
    return fail(file);
  }
  spdlog::info("playback {} <- {}", name, (*file)->path().string());
  playback_stream_ = name;
  reading_[handle] = PlaybackFile{std::move(*file), name, 0};
  return {};
}

void SdsioConnection::close(std::uint32_t handle) {
  if (writing_.erase(handle) != 0) {
    batch_.slices.push_back({handle, 0, 0, true});
  } else if (reading_.erase(handle) == 0) {
    spdlog::warn("{}: CLOSE of handle {}, which is not open", peer_, handle);
    return;
  }
  if (writing_.empty() && reading_.empty()) all_closed();
}

void SdsioConnection::all_closed() {
  if (!playback_ || playback_stream_.empty()) return;
  ++playback_label_;
  if ((device_flags_ & sdsio::flag_start) == 0) continue_playback();
}

// In automatic playback: asks for the next file, or says that there is none.
void SdsioConnection::continue_playback() {
  if (!shared_.options.playback || terminate_sent_ || !writing_.empty() || !reading_.empty()) return;
  std::error_code ignored;
  if (!playback_stream_.empty() && std::filesystem::exists(playback_path(playback_stream_), ignored)) {
    set_flags_ |= sdsio::flag_start | sdsio::flag_playback;
    start_pending_ = true;
    return;
  }
  spdlog::info("playback complete");
  terminate_sent_ = true;
  set_flags_ |= sdsio::flag_terminate;
  transport_.playback_done();
}

void SdsioConnection::read(const Header& header) {
  const auto found = reading_.find(header.handle);
  Bytes reply(Header::bytes);
  std::uint32_t status = 0;
  if (found != reading_.end()) {
    PlaybackFile& playback = found->second;
    reply.resize(Header::bytes + std::min(header.argument, kMaxReadBytes));
    auto got = playback.file->read(playback.offset, std::span(reply).subspan(Header::bytes));
    if (!got) spdlog::error("{}", got.error().to_string());
    const std::size_t count = got ? *got : 0;
    reply.resize(Header::bytes + count);
    playback.offset += count;
    status = count == 0 ? 1 : 0;
  }
  const Header head{Command::read, header.handle, status, static_cast<std::uint32_t>(reply.size() - Header::bytes)};
  const auto encoded = head.encode();
  std::copy(encoded.begin(), encoded.end(), reply.begin());
  transport_.send(reply);
}

void SdsioConnection::info(const Header& header, ByteView text) {
  if (device_flags_ != header.handle) spdlog::debug("{}: sdsFlags = {:#010x}", peer_, header.handle);
  const bool stopped = (device_flags_ & sdsio::flag_start) != 0 && (header.handle & sdsio::flag_start) == 0;
  device_flags_ = header.handle;
  if ((device_flags_ & sdsio::flag_start) != 0) start_pending_ = false;
  if (!shared_.options.playback) playback_ = (device_flags_ & sdsio::flag_playback) != 0;
  if (header.argument != idle_rate_ && header.argument != 0xFFFFFFFF)
    spdlog::debug("{}: {} % idle", peer_, header.argument);
  idle_rate_ = header.argument;
  if (text.size() >= 8) {
    const auto status = load_le<std::int32_t>(text.data());
    const auto line = load_le<std::uint32_t>(text.data() + 4);
    std::string file(as_text(text.subspan(8)));
    std::replace_if(
        file.begin(), file.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
    spdlog::error("{}: the device reports {} at {}:{}", peer_,
                  status == 0 ? std::string("a failed assertion") : fmt::format("error {}", status), file, line);
  }
  if (stopped && !start_pending_ && !playback_stream_.empty()) continue_playback();
}

void SdsioConnection::disconnected(const std::string& reason) {
  push_slices_now();
  std::string why = reason;
  if (decoder_.inside_message()) why += " in the middle of a message";
  for (const auto& [handle, name] : writing_) recorder_->close_stream(handle, why);
  writing_.clear();
  reading_.clear();
  for (const auto& [handle, bytes] : refused_bytes_)
    spdlog::warn("{}: {} bytes written to handle {}, which was not open, were refused", peer_, bytes, handle);
  refused_bytes_.clear();
}

}  // namespace sds

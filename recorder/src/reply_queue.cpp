#include "reply_queue.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "sds/recorder/server_limits.hpp"

namespace sds {

using sdsio::Command;
using sdsio::Header;

namespace {

// Appends the reply to a READ; what cannot be read counts as the stream's end.
void append_read(Bytes& out, std::uint32_t handle, PlaybackFile* playback, std::uint32_t wanted) {
  const std::size_t start = out.size();
  std::size_t count = 0;
  out.resize(start + Header::bytes);
  if (playback != nullptr) {
    out.resize(start + Header::bytes + std::min(wanted, server_limits::read_reply_bytes));
    auto got = playback->file->read(playback->offset, std::span(out).subspan(start + Header::bytes));
    if (!got) spdlog::error("{}", got.error().to_string());
    count = got ? *got : 0;
    out.resize(start + Header::bytes + count);
    playback->offset += count;
  }
  const std::uint32_t end = playback != nullptr && count == 0 ? 1 : 0;
  const auto head = Header{Command::read, handle, end, static_cast<std::uint32_t>(count)}.encode();
  std::copy(head.begin(), head.end(), out.begin() + static_cast<std::ptrdiff_t>(start));
}

bool has_ended(const PlaybackFile* playback) {
  if (playback == nullptr) return true;
  const auto size = playback->file->size();
  return !size || playback->offset >= *size;
}

}  // namespace

bool ReplyQueue::push(Reply reply) {
  if (replies_.size() >= server_limits::queued_replies) return false;
  replies_.push_back(std::move(reply));
  return true;
}

bool ReplyQueue::add(const Header& reply) { return push({Reply::Kind::ready, reply, nullptr}); }

bool ReplyQueue::add_read(std::uint32_t handle, std::shared_ptr<PlaybackFile> file, std::uint32_t wanted) {
  return push({Reply::Kind::read, {Command::read, handle, wanted, 0}, std::move(file)});
}

bool ReplyQueue::add_end_query(std::uint32_t handle, std::shared_ptr<PlaybackFile> file) {
  return push({Reply::Kind::end_query, {Command::ping, handle, 0, 0}, std::move(file)});
}

void ReplyQueue::take(Bytes& out) {
  while (!replies_.empty() &&
         out.size() + Header::bytes + server_limits::read_reply_bytes <= server_limits::reply_bytes) {
    Reply reply = std::move(replies_.front());
    replies_.pop_front();
    if (reply.kind == Reply::Kind::read) {
      append_read(out, reply.header.handle, reply.file.get(), reply.header.argument);
      continue;
    }
    if (reply.kind == Reply::Kind::end_query) reply.header.argument = has_ended(reply.file.get()) ? 1 : 0;
    append_bytes(out, reply.header.encode());
  }
}

}  // namespace sds

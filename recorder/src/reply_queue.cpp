#include "reply_queue.hpp"

#include <algorithm>

#include "sds/recorder/server_limits.hpp"

namespace sds {

using sdsio::Command;
using sdsio::Header;

namespace {

bool has_ended(const PlaybackFile* playback) { return playback == nullptr || playback->offset >= playback->bytes; }

// What the other thread reads.
struct Piece {
  Bytes bytes;
  Expected<std::size_t> count = 0;
};

}  // namespace

bool ReplyQueue::push(Reply reply) {
  if (replies_.size() >= server_limits::queued_replies) return false;
  replies_.push_back(std::move(reply));
  return true;
}

bool ReplyQueue::add(const Header& reply) { return push({Reply::Kind::ready, reply, nullptr, nullptr}); }

bool ReplyQueue::add_read(std::uint32_t handle, std::shared_ptr<PlaybackFile> file, std::uint32_t wanted) {
  return push({Reply::Kind::read, {Command::read, handle, wanted, 0}, std::move(file), nullptr});
}

bool ReplyQueue::add_end_query(std::uint32_t handle, std::shared_ptr<PlaybackFile> file) {
  return push({Reply::Kind::end_query, {Command::ping, handle, 0, 0}, std::move(file), nullptr});
}

// Has the data of the first reply read.
void ReplyQueue::load() {
  if (loading_) return;
  loading_ = true;
  const auto& first = replies_.front();
  auto piece = std::make_shared<Piece>();
  const std::uint32_t wanted = std::min(first.header.argument, server_limits::read_reply_bytes);
  on_disk_(
      [piece, wanted, file = first.file->file, offset = first.file->offset] {
        piece->bytes.resize(wanted);
        piece->count = file->read(offset, piece->bytes);
      },
      [this, piece]() -> Expected<void> {
        loading_ = false;
        if (!piece->count) return fail(piece->count);
        piece->bytes.resize(*piece->count);
        replies_.front().data = std::shared_ptr<const Bytes>(piece, &piece->bytes);
        ready_();
        return {};
      });
}

void ReplyQueue::take(Bytes& out) {
  while (!replies_.empty() &&
         out.size() + Header::bytes + server_limits::read_reply_bytes <= server_limits::reply_bytes) {
    Reply& reply = replies_.front();
    PlaybackFile* const file = reply.file.get();
    if (reply.kind == Reply::Kind::end_query) reply.header.argument = has_ended(file) ? 1 : 0;
    if (reply.kind == Reply::Kind::read) {
      const std::uint32_t wanted = reply.header.argument;
      if (file != nullptr && wanted > 0 && !reply.data) return load();
      const std::size_t count = reply.data ? reply.data->size() : 0;
      // Who asks for nothing gets nothing, which is no end.
      const bool end = file != nullptr && count == 0 && (wanted > 0 || has_ended(file));
      reply.header.argument = end ? 1 : 0;
      reply.header.size = static_cast<std::uint32_t>(count);
      if (file != nullptr) file->offset += count;
    }
    append_bytes(out, reply.header.encode());
    if (reply.data) append_bytes(out, *reply.data);
    replies_.pop_front();
  }
}

}  // namespace sds

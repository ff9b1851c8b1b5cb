// What a device is owed: replies in the order of its requests. Those to READ are made when they can be sent, so that a
// device that asks and does not read costs no memory; their data is read by other threads.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "sds/format/byte_source.hpp"
#include "sds/recorder/sdsio_message.hpp"

namespace sds {

/// A file that is played back to a device.
struct PlaybackFile {
  std::shared_ptr<const ByteSource> file;
  std::string name;  ///< of the stream
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;
  std::shared_ptr<void> place;  ///< among server_limits::playback_files
};

class ReplyQueue {
 public:
  /// Calls `work`, which may wait for a disk, on another thread, and `then` on this one when it is done. If `then`
  /// fails, the device is sent away.
  using OnDisk = std::function<void(std::function<void()> work, std::function<Expected<void>()> then)>;

  /// `ready` is called when take() has something that was waited for.
  ReplyQueue(OnDisk on_disk, std::function<void()> ready) : on_disk_(std::move(on_disk)), ready_(std::move(ready)) {}

  /// False where server_limits::queued_replies wait already; so with the others.
  [[nodiscard]] bool add(const sdsio::Header& reply);
  /// The reply to a READ of up to `wanted` bytes; `file` is null where the handle is not open.
  [[nodiscard]] bool add_read(std::uint32_t handle, std::shared_ptr<PlaybackFile> file, std::uint32_t wanted);
  /// The reply to SDSIO 1.x's question whether a stream has ended.
  [[nodiscard]] bool add_end_query(std::uint32_t handle, std::shared_ptr<PlaybackFile> file);

  /// Makes the next replies and appends them to `out`, which stays below server_limits::reply_bytes.
  void take(Bytes& out);

 private:
  struct Reply {
    enum class Kind { ready, read, end_query } kind = Kind::ready;
    sdsio::Header header;
    std::shared_ptr<PlaybackFile> file;
    std::shared_ptr<const Bytes> data;  // of a READ, once it is read
  };
  [[nodiscard]] bool push(Reply reply);
  void load();

  OnDisk on_disk_;
  std::function<void()> ready_;
  std::deque<Reply> replies_;
  bool loading_ = false;  // the data of the first one
};

}  // namespace sds

#include "device_session.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cerrno>

#include "when_there_is_memory.hpp"

namespace sds {

namespace {
constexpr std::chrono::milliseconds kTick{100};
}  // namespace

DeviceSession::DeviceSession(asio::io_context& io, std::unique_ptr<Link> link, ServerShared& shared,
                             std::shared_ptr<TotalShare> descriptors, Callbacks callbacks)
    : io_(io),
      link_(std::move(link)),
      shared_(shared),
      descriptors_(std::move(descriptors)),
      callbacks_(std::move(callbacks)),
      timer_(io) {}

template <class Call>
void DeviceSession::guarded(Call call) {
  try {
    call();
  } catch (const std::exception& error) {
    if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
      shared_.recorders.lacked_memory = true;
      return end("out of memory");
    }
    std::string reason = "dropped";
    try {
      reason += std::string(": ") + error.what();
      shared_.recorders.note_loss({ErrorCode::io, reason, {}, {}});
    } catch (const std::bad_alloc&) {
      shared_.recorders.lacked_memory = true;
    }
    end(reason);
  }
}

SdsioConnection::Host DeviceSession::make_host() {
  // The writer thread may outlive this: it posts to whoever is still there.
  const auto post = [weak = weak_from_this(), &io = io_](auto action) {
    asio::post(io, [weak, action] {
      auto self = weak.lock();
      if (self && self->connection_) self->guarded([&] { action(*self); });
    });
  };
  SdsioConnection::Host host;
  host.output_ready = [this] { send(); };
  host.post_opened = [post](std::uint32_t handle, const Expected<void>& opened) {
    post([handle, opened](DeviceSession& self) {
      self.connection_->opened(handle, opened);
      if (self.connection_ && !self.reading_) self.go_on(self.connection_->advance());
    });
  };
  host.post_resume = [post] {
    post([](DeviceSession& self) {
      if (!self.reading_) self.go_on(self.connection_->advance());
    });
  };
  host.post_give_up = [post](const Error& error) {
    post([error](DeviceSession& self) { self.end("recording stopped: " + error.message); });
  };
  host.on_disk = [post, this](std::function<void()> work, std::function<Expected<void>()> then) {
    callbacks_.on_disk([post, work = std::move(work), then = std::move(then)] {
      const auto failure = when_there_is_memory([&]() -> std::string {
        try {
          work();
        } catch (const std::exception& error) {
          return error_of(error).message;
        }
        return {};
      });
      when_there_is_memory([&] {
        post([then, failure](DeviceSession& self) {
          if (!failure.empty()) return self.end("dropped: " + failure);
          if (auto done = then(); !done) return self.end("dropped: " + done.error().to_string());
          if (self.connection_ && !self.reading_) self.go_on(self.connection_->advance());
        });
      });
    });
  };
  host.playback_done = [this] { callbacks_.on_playback_done(); };
  host.session_ended = [this] { callbacks_.on_session_ended(); };
  return host;
}

void DeviceSession::start() {
  guarded([this] {
    connection_ = std::make_unique<SdsioConnection>(shared_, link_->name(), std::move(descriptors_), make_host());
    spdlog::info("device   {}: connected", link_->name());
    tick();
    if (connection_) read();
  });
}

void DeviceSession::end(const std::string& reason) {
  if (!connection_) return;
  const auto self = shared_from_this();
  std::string why;
  std::string not_taken;
  Bytes farewell;
  const std::size_t in_link = link_->unread_bytes();
  bool no_words = false;  // for why it ends
  try {
    why = reason;
    if (!sending_) farewell = connection_->farewell();  // never into the middle of a message
    if (const std::size_t unread = in_link + connection_->bytes_not_looked_at(); unread > 0) {
      not_taken = fmt::format(": {} bytes that had come, and what comes behind them, were not taken", unread);
      if (connection_->waits_for_space()) {
        why += " while the disk was full";
        shared_.recorders.note_loss({ErrorCode::io,
                                     "the disk was full: not all that had come was taken",
                                     shared_.options.directory,
                                     {},
                                     ENOSPC});
      }
    }
  } catch (const std::bad_alloc&) {
    no_words = true;  // it ends all the same
  }
  spdlog::log(not_taken.empty() ? spdlog::level::info : spdlog::level::warn, "device   {}: {}{}", link_->name(), why,
              not_taken);
  timer_.cancel();
  link_->close(farewell);
  const auto connection = std::move(connection_);
  std::unique_ptr<RecorderThread> recorder;
  if (!no_words) try {
      recorder = connection->disconnected(why, not_taken);
    } catch (const std::bad_alloc&) {
      no_words = true;
    }
  if (no_words) {
    shared_.recorders.lacked_memory = true;
    recorder = connection->dropped(in_link);
  }
  callbacks_.on_end(std::move(recorder));
}

std::chrono::steady_clock::duration DeviceSession::idle_time() const {
  if (!connection_ || !connection_->is_idle()) return {};
  return std::chrono::steady_clock::now() - last_heard_;
}

bool DeviceSession::change_flags(std::uint32_t set, std::uint32_t clear) {
  if (connection_) connection_->change_flags(set, clear);
  return connection_ != nullptr;
}

bool DeviceSession::is_busy() const { return connection_ && !connection_->is_idle(); }

bool DeviceSession::ask_to_stop() {
  if (!may_stop()) return false;
  connection_->ask_to_stop();
  return true;
}

bool DeviceSession::may_stop() const { return connection_ && connection_->may_stop(); }

void DeviceSession::read() {
  reading_ = true;
  link_->read(connection_->buffer(), [self = shared_from_this()](const Expected<std::size_t>& count) {
    self->reading_ = false;
    if (!self->connection_) return;
    self->guarded([&] {
      if (!count) return self->end("connection lost: " + count.error().message);
      if (*count == 0) return self->end("disconnected");
      self->last_heard_ = std::chrono::steady_clock::now();
      self->go_on(self->connection_->received(*count));
    });
  });
}

void DeviceSession::go_on(const Expected<bool>& advanced) {
  if (!advanced) return end("dropped: " + advanced.error().message);
  if (*advanced) read();  // else we are told when it can go on
}

void DeviceSession::tick() {
  link_->look_after_peer();
  if (!link_->has_unsent()) connection_->tick();  // a device that reads nothing gets no more to read
  // Nobody reads while a full disk is waited for: a device that leaves then is noticed here.
  if (connection_->waits_for_space() && link_->peer_has_ended()) connection_->release_reserve();
  timer_.expires_after(kTick);
  timer_.async_wait([self = shared_from_this()](std::error_code error) {
    if (!error && self->connection_) self->guarded([&] { self->tick(); });
  });
}

void DeviceSession::send() {
  if (sending_ || !connection_) return;
  output_.clear();
  connection_->take_output(output_);
  if (output_.empty()) return;
  sending_ = true;
  link_->write(output_, [self = shared_from_this()](const Expected<void>& done) {
    self->sending_ = false;
    if (done) self->guarded([&] { self->send(); });  // a broken link is found by the read
  });
}

}  // namespace sds

#include "sds/recorder/sdsio_message.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sds::sdsio {

namespace {

Header decode(const std::byte* p) {
  return {static_cast<Command>(load_le<std::uint32_t>(p)), load_le<std::uint32_t>(p + 4), load_le<std::uint32_t>(p + 8),
          load_le<std::uint32_t>(p + 12)};
}

Expected<void> check(const Header& header) {
  const auto number = static_cast<std::uint32_t>(header.command);
  if (number < 1 || number > 7)
    return fail(ErrorCode::bad_input, fmt::format("unknown SDSIO command {}: the device does not speak SDSIO, or lost "
                                                  "its place in it",
                                                  number));
  const std::uint32_t most = header.command == Command::write ? max_write_bytes : max_text_bytes;
  if (header.size > most)
    return fail(ErrorCode::bad_input,
                fmt::format("SDSIO command {} announces {} bytes; at most {} make sense", number, header.size, most));
  return {};
}

}  // namespace

std::array<std::byte, Header::bytes> Header::encode() const {
  std::array<std::byte, bytes> out;
  store_le(out.data(), static_cast<std::uint32_t>(command));
  store_le(out.data() + 4, handle);
  store_le(out.data() + 8, argument);
  store_le(out.data() + 12, size);
  return out;
}

Expected<std::size_t> MessageDecoder::push(ByteView bytes, MessageHandler& handler) {
  const std::byte* const start = bytes.data();
  const std::size_t all = bytes.size();
  const auto take = [&](std::size_t wanted) {
    const std::size_t count = std::min(wanted, bytes.size());
    append_bytes(pending_, bytes.first(count));
    bytes = bytes.subspan(count);
  };
  while (!bytes.empty()) {
    if (write_left_ > 0) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(write_left_, bytes.size()));
      handler.on_write(write_handle_, static_cast<std::size_t>(bytes.data() - start), count);
      bytes = bytes.subspan(count);
      write_left_ -= count;
      continue;
    }
    Header header;
    if (pending_.empty() && bytes.size() >= Header::bytes) {
      header = decode(bytes.data());
      if (header.command == Command::write) {  // the common case: no copy
        if (auto ok = check(header); !ok) return fail(ok);
        bytes = bytes.subspan(Header::bytes);
        write_handle_ = header.handle;
        write_left_ = header.size;
        continue;
      }
    }
    if (pending_.size() < Header::bytes) take(Header::bytes - pending_.size());
    if (pending_.size() < Header::bytes) return all;
    header = decode(pending_.data());
    if (auto ok = check(header); !ok) return fail(ok);
    if (header.command == Command::write) {
      pending_.clear();
      write_handle_ = header.handle;
      write_left_ = header.size;
      continue;
    }
    take(Header::bytes + header.size - pending_.size());
    if (pending_.size() < Header::bytes + header.size) return all;
    const bool go_on = handler.on_message(header, ByteView(pending_).subspan(Header::bytes));
    pending_.clear();
    if (!go_on) break;
  }
  return all - bytes.size();
}

}  // namespace sds::sdsio

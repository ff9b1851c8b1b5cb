// Feeds hostile bytes, cut in pieces, to the SDSIO decoder and what it writes to the block parser.
#include "sds/format/plain.hpp"
#include "sds/recorder/sdsio_message.hpp"

namespace {

class Sink final : public sds::sdsio::MessageHandler {
 public:
  bool on_message(const sds::sdsio::Header&, sds::ByteView) override { return true; }
  void on_write(std::uint32_t, std::size_t begin, std::size_t size) override {
    if (begin + size > piece.size()) __builtin_trap();
    (void)parser.push(piece.subspan(begin, size), [](std::uint32_t, sds::ByteView) { return sds::Expected<void>{}; });
    if (parser.is_raw()) (void)parser.take_rest();
  }
  sds::ByteView piece;
  sds::BlockParser parser;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t step = data[0] + 1u;
  Sink sink;
  sds::sdsio::MessageDecoder decoder;
  const auto bytes = std::as_bytes(std::span(data, size));
  for (std::size_t at = 1; at < size; at += step) {
    sink.piece = bytes.subspan(at, std::min(step, size - at));
    if (!decoder.push(sink.piece, sink)) break;
  }
  return 0;
}

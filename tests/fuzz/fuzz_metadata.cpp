// Parses hostile metadata, and decodes a sample by whatever came out.
#include "sds/format/bytes.hpp"
#include "sds/format/layout.hpp"
#include "sds/format/metadata.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto metadata = sds::Metadata::parse({reinterpret_cast<const char*>(data), size}, "fuzz.sds.yml");
  if (!metadata || metadata->sample_bytes > (1u << 20)) return 0;
  const sds::Bytes sample(metadata->sample_bytes);
  for (const auto& channel : metadata->channels) (void)sds::raw_value(channel, sample.data(), channel.count() - 1);
  const auto layout = sds::Layout::from(*metadata);
  if (layout.sample_bytes != metadata->sample_bytes) __builtin_trap();
  if (!sds::Layout::decode(sds::as_bytes(layout.encode()))) __builtin_trap();
  return 0;
}

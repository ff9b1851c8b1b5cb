// Reads hostile plain `.sds`; the blocks and the tail must account for every byte.
#include "sds/format/plain.hpp"
#include "temporary_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const TemporaryFile file(data, size);
  auto reader = sds::PlainReader::open(file.path());
  if (!reader) __builtin_trap();
  std::uint64_t seen = 0;
  for (;;) {
    auto block = reader->next();
    if (!block) __builtin_trap();
    if (!*block) break;
    seen += 8 + (*block)->data.size();
  }
  if (reader->tail()) seen += reader->tail()->bytes;
  if (seen != size) __builtin_trap();
  return 0;
}

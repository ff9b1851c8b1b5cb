// Opens hostile `.sdsz` files, with and without the index, and reads all that they give.
#include "sds/format/sdsz_cursor.hpp"
#include "sds/format/sdsz_reader.hpp"
#include "temporary_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const TemporaryFile file(data, size);
  for (const bool walk : {false, true}) {
    auto reader = sds::SdszReader::open(file.path(), {.walk = walk});
    if (!reader) continue;
    for (std::size_t i = 0; i < (*reader)->streams().size(); ++i) {
      sds::SdszCursor cursor(*reader, i);
      for (int blocks = 0; blocks < 100000; ++blocks) {
        auto block = cursor.next();
        // Sections that are too large together are refused; a file that is there can be read.
        if (!block && block.error().code != sds::ErrorCode::limit) __builtin_trap();
        if (!block || !*block) break;
      }
      (void)cursor.read_tail([](sds::ByteView) { return sds::Expected<void>{}; });
    }
    (void)sds::load_statistics(*(*reader)->file(), 0);
  }
  return 0;
}

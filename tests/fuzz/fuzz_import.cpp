// Imports hostile files of other tools: the first byte chooses the format.
#include <unistd.h>

#include "imports.hpp"
#include "temporary_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const std::string output = "/dev/shm/sdskit-fuzz-" + std::to_string(::getpid()) + ".sdsz";
  const TemporaryFile file(data + 1, size - 1);
  sds::ImportOptions options;
  options.force = true;
  options.stream = "fuzz";
  constexpr std::array formats{sds::import_csv, sds::import_qeexo, sds::import_edge_impulse, sds::import_mcap,
                               sds::import_xdf};
  (void)formats[data[0] % formats.size()](file.path(), output, options, {});
  std::error_code ignored;
  std::filesystem::remove(output, ignored);
  std::filesystem::remove(std::filesystem::path(output).replace_extension(".labels.yml"), ignored);
  return 0;
}

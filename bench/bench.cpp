// sds-bench: measures sdskit and its peers on this machine. See bench/README.md.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "harness.hpp"

namespace {

void usage() {
  std::puts(
      "usage: sds-bench tools|codecs|datasets|replay|serve [options]\n"
      "  tools   pack, unpack, check, replay delivery and CSV export against memcpy and zstd -1\n"
      "  codecs  column codecs and their peers, in memory, one thread\n"
      "  datasets  exports, imports, queries\n"
      "  replay  delivery of blocks, and what running an algorithm adds\n"
      "  serve   the SDSIO server on loopback\n"
      "options:\n"
      "  --data DIR     folder of .sds files (codecs: all that lie there), or where scratch files go (tools)\n"
      "  --rounds N     rounds that are measured (default 5); medians are printed\n"
      "  --json FILE    also write the tables as JSON\n"
      "  FILE...        codecs: measure these instead");
}

}  // namespace

int main(int argc, char** argv) {
  std::string folder = ".";
  std::string json;
  std::vector<std::string> files;
  int rounds = 5;
  if (argc < 2 || std::strcmp(argv[1], "--help") == 0) {
    usage();
    return argc < 2 ? 2 : 0;
  }
  for (int i = 2; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--data" && i + 1 < argc) {
      folder = argv[++i];
    } else if (option == "--rounds" && i + 1 < argc) {
      rounds = std::max(1, std::atoi(argv[++i]));
    } else if (option == "--json" && i + 1 < argc) {
      json = argv[++i];
    } else if (option.rfind("--", 0) == 0) {
      usage();
      return 2;
    } else {
      files.push_back(option);
    }
  }
  const std::string what = argv[1];
  std::vector<sds::bench::Table> tables;
  if (what == "tools") {
    tables.push_back(sds::bench::run_end_to_end(folder, rounds));
  } else if (what == "codecs") {
    tables = sds::bench::run_codecs(folder, files, rounds);
  } else if (what == "datasets") {
    tables.push_back(sds::bench::run_datasets(folder, rounds));
  } else if (what == "replay") {
    tables = sds::bench::run_replay_bench(folder, rounds);
  } else if (what == "serve") {
    tables.push_back(sds::bench::run_serve(rounds));
  } else {
    usage();
    return 2;
  }
  for (const auto& table : tables) std::printf("%s\n", table.markdown().c_str());
  if (!json.empty()) {
    std::ofstream out(json);
    out << "[\n";
    for (std::size_t i = 0; i < tables.size(); ++i) out << (i > 0 ? ",\n" : "") << tables[i].json();
    out << "\n]\n";
  }
  return 0;
}

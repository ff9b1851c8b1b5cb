// How golden/v2-killed.sdsz and its log were made: the writer of format 2, dropped without close().
#include <cmath>
#include "sds/format/sdsz_writer.hpp"
using namespace sds;
int main(int, char** argv) {
  Properties session;
  session.set("id", "v2-killed");
  session.set("tool", "sdskit serve");
  SdszWriterOptions o;
  o.durability = Durability::process;
  o.section_bytes = 2000;
  auto w = SdszWriter::create(argv[1], session, o);
  if (!w) return 1;
  auto a = *w->add_stream(
      {"A", "0", false, "", "A.sds.yml", "sds:\n  name: A\n  content:\n  - {value: x, type: int16_t}\n"});
  auto b = *w->add_stream({"B", "0", false, "", "", ""});
  for (int i = 0; i < 500; ++i) {
    Bytes d;
    for (int k = 0; k < 10; ++k) append_le(d, (std::int16_t)(1000 * std::sin((i * 10 + k) / 30.0) + (i * k) % 7));
    if (!w->append_at(a, 0xFFFFFF00ull + 10 * i, d)) return 2;
    if (i % 25 == 0) {
      Bytes e;
      append_le(e, (std::uint32_t)i);
      if (!w->append_at(b, 3000000000ull * i, e)) return 3;
    }
    if (i == 200 && !w->add_gap(a, "the cable")) return 5;
    if (i == 300 && !w->add_clock(a, {0xFFFFFF00ull + 3000, 1750000000000000000ull, 42})) return 6;
    if (i % 40 == 39 && !w->flush()) return 4;
  }
  if (!w->flush()) return 4;
}

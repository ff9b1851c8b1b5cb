#include "kernels.hpp"

namespace sds::kernels {

namespace {
#include "kernels_impl.hpp"
}  // namespace

const Table& plain() {
  static constexpr Table table = make_table("plain");
  return table;
}

}  // namespace sds::kernels

// Which kernels run: decided here, in code for the baseline processor.
#include "kernels.hpp"

#include <cstdlib>
#include <string_view>

namespace sds::kernels {

#if defined(SDSKIT_AVX2)

extern const Table avx2_table;  // data only: kernels_avx2.cpp runs nothing by itself

const Table* avx2() {
  static const bool supported = __builtin_cpu_supports("avx2") != 0;
  return supported ? &avx2_table : nullptr;
}

#else

const Table* avx2() { return nullptr; }

#endif

const Table& best() {
  static const Table& chosen = []() -> const Table& {
    const char* wish = std::getenv("SDSKIT_KERNELS");
    const Table* fast = avx2();
    return fast == nullptr || (wish != nullptr && std::string_view(wish) == "plain") ? plain() : *fast;
  }();
  return chosen;
}

}  // namespace sds::kernels

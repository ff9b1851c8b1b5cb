#include "kernels.hpp"

#include <cstdlib>
#include <string_view>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace sds::kernels {

#if defined(__AVX2__)

namespace {
#include "kernels_impl.hpp"
}  // namespace

const Table* avx2() {
  static constexpr Table table = make_table("avx2");
  static const bool supported = __builtin_cpu_supports("avx2") != 0;
  return supported ? &table : nullptr;
}

#else

const Table* avx2() { return nullptr; }

#endif

const Table& best() {
  static const Table& chosen = [&]() -> const Table& {
    const char* wish = std::getenv("SDSKIT_KERNELS");
    const Table* fast = avx2();
    return fast == nullptr || (wish != nullptr && std::string_view(wish) == "plain") ? plain() : *fast;
  }();
  return chosen;
}

}  // namespace sds::kernels

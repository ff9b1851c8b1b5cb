#include "kernels.hpp"

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
  const Table* fast = avx2();
  return fast != nullptr ? *fast : plain();
}

}  // namespace sds::kernels

// The kernels as the compiler makes them with AVX2. Nothing here may run before kernels.cpp has asked the processor:
// this file's code, whatever it is, may have AVX2 instructions.
#include "kernels.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace sds::kernels {

#if defined(__AVX2__)

namespace {
#include "kernels_impl.hpp"
}  // namespace

extern const Table avx2_table;
constinit const Table avx2_table = make_table("avx2");

#endif

}  // namespace sds::kernels

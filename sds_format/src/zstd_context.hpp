// Contexts of libzstd that are there, or std::bad_alloc: the library answers a lack of memory with null pointers and
// error codes, which are neither to be used nor to be taken for damage.
#pragma once

#include <zstd.h>
#include <zstd_errors.h>

#include <memory>
#include <new>

namespace sds {

struct FreeZstdContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using ZstdCompressor = std::unique_ptr<ZSTD_CCtx, FreeZstdContext>;
using ZstdDecompressor = std::unique_ptr<ZSTD_DCtx, FreeZstdContext>;

/// Throws std::bad_alloc.
inline ZstdCompressor make_zstd_compressor() {
  ZstdCompressor context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  return context;
}

/// Throws std::bad_alloc.
inline ZstdDecompressor make_zstd_decompressor() {
  ZstdDecompressor context(ZSTD_createDCtx());
  if (!context) throw std::bad_alloc();
  return context;
}

/// True if `result`, of a call that decompresses, is a size; throws std::bad_alloc if it is a lack of memory, which
/// says nothing about the frame.
inline bool is_decompressed(std::size_t result) {
  if (!ZSTD_isError(result)) return true;
  if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) throw std::bad_alloc();
  return false;
}

}  // namespace sds

// Included once for each instruction set, inside a namespace of its own. GCC's and clang's vector types: the compiler
// makes SSE2, AVX2 or NEON of them. Nothing from the standard library's templates may be used here: a copy compiled for
// AVX2 could be linked into the rest of the program.

typedef std::uint16_t U16x8 __attribute__((vector_size(16), aligned(1), may_alias));
typedef std::int16_t I16x8 __attribute__((vector_size(16), aligned(1), may_alias));
typedef std::uint8_t U8x16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef std::uint8_t U8x8 __attribute__((vector_size(8), aligned(1), may_alias));
typedef std::int32_t I32x8 __attribute__((vector_size(32), aligned(1), may_alias));
typedef std::uint32_t U32x8 __attribute__((vector_size(32), aligned(1), may_alias));
typedef std::int32_t I32x4 __attribute__((vector_size(16), aligned(1), may_alias));
typedef float F32x4 __attribute__((vector_size(16), aligned(1), may_alias));
typedef double F64x4 __attribute__((vector_size(32), aligned(1), may_alias));
typedef float F32x8 __attribute__((vector_size(32), aligned(1), may_alias));

static inline std::uint16_t zigzag(std::uint16_t d) {
  return static_cast<std::uint16_t>(static_cast<std::uint16_t>(d << 1) ^ static_cast<std::uint16_t>(0 - (d >> 15)));
}

static inline std::uint16_t unzigzag(std::uint16_t z) {
  return static_cast<std::uint16_t>((z >> 1) ^ static_cast<std::uint16_t>(0 - (z & 1)));
}

static void difference(const std::int16_t* x, std::size_t n, int order, std::uint16_t* z) {
  const auto* u = reinterpret_cast<const std::uint16_t*>(x);
  if (order == 0) {
    for (std::size_t i = 0; i < n; ++i) z[i] = zigzag(u[i]);
    return;
  }
  if (n > 0) z[0] = zigzag(u[0]);
  if (order == 1) {
    for (std::size_t i = 1; i < n; ++i) z[i] = zigzag(static_cast<std::uint16_t>(u[i] - u[i - 1]));
    return;
  }
  if (n > 1) z[1] = zigzag(static_cast<std::uint16_t>(u[1] - u[0]));
  for (std::size_t i = 2; i < n; ++i) z[i] = zigzag(static_cast<std::uint16_t>(u[i] - 2 * u[i - 1] + u[i - 2]));
}

// Running sums of 8 values, in three steps; `carry` holds the sum so far in every lane.
static inline U16x8 running_sum(U16x8 v, U16x8* carry) {
  const U16x8 zero = {};
  v += __builtin_shufflevector(zero, v, 0, 8, 9, 10, 11, 12, 13, 14);
  v += __builtin_shufflevector(zero, v, 0, 1, 8, 9, 10, 11, 12, 13);
  v += __builtin_shufflevector(zero, v, 0, 1, 2, 3, 8, 9, 10, 11);
  v += *carry;
  *carry = __builtin_shufflevector(v, v, 7, 7, 7, 7, 7, 7, 7, 7);
  return v;
}

static void integrate(const std::uint16_t* z, std::size_t n, int order, std::int16_t* x) {
  U16x8 slope = {};
  U16x8 value = {};
  // Whole vectors: both arrays reach to the next multiple of 128.
  for (std::size_t i = 0; i < n; i += 8) {
    const U16x8 coded = *reinterpret_cast<const U16x8*>(z + i);
    U16x8 v = (coded >> 1) ^ (U16x8{} - (coded & 1));
    if (order == 2) {
      // The first residual is the value itself, and no slope to go on from.
      const std::uint16_t first = v[0];
      if (i == 0) v[0] = 0;
      v = running_sum(v, &slope);
      if (i == 0) v[0] = first;
    }
    if (order != 0) v = running_sum(v, &value);
    *reinterpret_cast<U16x8*>(x + i) = v;
  }
}

static void sum_miniblocks(const std::uint16_t* z, std::size_t blocks, std::uint32_t* sums) {
  for (std::size_t b = 0; b < blocks; ++b) {
    U32x8 sum = {};
    for (std::size_t i = 0; i < miniblock; i += 8)
      sum += __builtin_convertvector(*reinterpret_cast<const U16x8*>(z + b * miniblock + i), U32x8);
    sums[b] = sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
  }
}

static bool take_high(const std::uint16_t* z, int k, std::uint8_t* high) {
  U16x8 largest = {};
  for (std::size_t i = 0; i < miniblock; i += 8) {
    U16x8 v = *reinterpret_cast<const U16x8*>(z + i) >> static_cast<std::uint16_t>(k);
    v = v > 255 ? U16x8{} + 255 : v;
    largest |= v == 255 ? U16x8{} + 1 : U16x8{};
    *reinterpret_cast<U8x8*>(high + i) = __builtin_convertvector(v, U8x8);
  }
  std::uint16_t any = 0;
  for (int i = 0; i < 8; ++i) any = static_cast<std::uint16_t>(any | largest[i]);
  return any != 0;
}

template <int K>
static void pack_rows(const std::uint16_t* z, std::uint8_t* packed) {
  U16x8 word = {};
  int fill = 0;
#pragma GCC unroll 16
  for (int row = 0; row < 16; ++row) {
    const U16x8 v = *reinterpret_cast<const U16x8*>(z + 8 * row) & static_cast<std::uint16_t>((1u << K) - 1);
    word |= v << static_cast<std::uint16_t>(fill);
    fill += K;
    if (fill >= 16) {
      *reinterpret_cast<U16x8*>(packed) = word;
      packed += 16;
      fill -= 16;
      word = fill > 0 ? v >> static_cast<std::uint16_t>(K - fill) : U16x8{};
    }
  }
}

template <int K>
static inline void unpack_rows(const std::uint8_t* packed, std::uint16_t* low) {
  U16x8 word = *reinterpret_cast<const U16x8*>(packed);
  int used = 0;
#pragma GCC unroll 16
  for (int row = 0; row < 16; ++row) {
    U16x8 v = word >> static_cast<std::uint16_t>(used);
    used += K;
    if (used >= 16) {
      used -= 16;
      if (row < 15) {
        packed += 16;
        word = *reinterpret_cast<const U16x8*>(packed);
        if (used > 0) v |= word << static_cast<std::uint16_t>(K - used);
      }
    }
    *reinterpret_cast<U16x8*>(low + 8 * row) = v & static_cast<std::uint16_t>((1u << K) - 1);
  }
}

#define SDS_FOR_EACH_WIDTH(call) \
  call(1) call(2) call(3) call(4) call(5) call(6) call(7) call(8) call(9) call(10) call(11) call(12) call(13)

static void pack_low(const std::uint16_t* z, int k, std::uint8_t* packed) {
  switch (k) {
#define SDS_CASE(width) \
  case width:           \
    return pack_rows<width>(z, packed);
    SDS_FOR_EACH_WIDTH(SDS_CASE)
#undef SDS_CASE
    default:
      return;
  }
}

static void unpack_low(const std::uint8_t* packed, int k, std::uint16_t* low) {
  switch (k) {
#define SDS_CASE(width) \
  case width:           \
    return unpack_rows<width>(packed, low);
    SDS_FOR_EACH_WIDTH(SDS_CASE)
#undef SDS_CASE
    default:
      return;
  }
}
#undef SDS_FOR_EACH_WIDTH

static bool join(const std::uint8_t* high, const std::uint8_t* packed, int k, std::uint16_t* z) {
  alignas(32) std::uint16_t low[miniblock];
  U8x16 escapes = {};
  if (k > 0) {
    unpack_low(packed, k, low);
    for (std::size_t i = 0; i < miniblock; i += 8) {
      const U16x8 v = __builtin_convertvector(*reinterpret_cast<const U8x8*>(high + i), U16x8);
      *reinterpret_cast<U16x8*>(z + i) =
          (v << static_cast<std::uint16_t>(k)) | *reinterpret_cast<const U16x8*>(low + i);
    }
  } else {
    for (std::size_t i = 0; i < miniblock; i += 8)
      *reinterpret_cast<U16x8*>(z + i) = __builtin_convertvector(*reinterpret_cast<const U8x8*>(high + i), U16x8);
  }
  for (std::size_t i = 0; i < miniblock; i += 16) {
    const U8x16 v = *reinterpret_cast<const U8x16*>(high + i);
    escapes |= v == 255 ? U8x16{} + 1 : U8x16{};
  }
  std::uint8_t any = 0;
  for (int i = 0; i < 16; ++i) any = static_cast<std::uint8_t>(any | escapes[i]);
  return any != 0;
}

// Three perfect shuffles transpose 8 rows of 8.
static inline void transpose(I16x8* row) {
#pragma GCC unroll 3
  for (int round = 0; round < 3; ++round) {
    I16x8 next[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      next[2 * i] = __builtin_shufflevector(row[i], row[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      next[2 * i + 1] = __builtin_shufflevector(row[i], row[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) row[i] = next[i];
  }
}

static void gather_16(const std::uint8_t* samples, std::size_t stride, std::size_t n, std::size_t columns,
                      std::uint8_t* out, std::size_t distance) {
  std::size_t i = 0;
  if (columns > 1) {
    // Eight samples at a time; each is read 16 bytes wide, which must still be samples.
    const std::size_t end = (n - 1) * stride + 2 * columns;
    for (; i + 8 <= n && (i + 7) * stride + 16 <= end; i += 8) {
      I16x8 row[8];
#pragma GCC unroll 8
      for (std::size_t k = 0; k < 8; ++k) row[k] = *reinterpret_cast<const I16x8*>(samples + (i + k) * stride);
      transpose(row);
#pragma GCC unroll 8
      for (std::size_t c = 0; c < 8; ++c)
        if (c < columns) *reinterpret_cast<I16x8*>(out + c * distance + 2 * i) = row[c];
    }
  }
  for (std::size_t c = 0; c < columns; ++c)
    for (std::size_t k = i; k < n; ++k) __builtin_memcpy(out + c * distance + 2 * k, samples + k * stride + 2 * c, 2);
}

static void scatter_16(const std::uint8_t* in, std::size_t distance, std::size_t n, std::size_t columns,
                       std::uint8_t* samples, std::size_t stride) {
  std::size_t i = 0;
  // Samples of nothing but these columns are written 16 bytes wide, in order: what one writes too much, the next ones
  // put right.
  if (columns > 1 && stride == 2 * columns) {
    for (; i + 16 <= n; i += 8) {
      I16x8 row[8] = {};
#pragma GCC unroll 8
      for (std::size_t c = 0; c < 8; ++c)
        if (c < columns) row[c] = *reinterpret_cast<const I16x8*>(in + c * distance + 2 * i);
      transpose(row);
#pragma GCC unroll 8
      for (std::size_t k = 0; k < 8; ++k) *reinterpret_cast<I16x8*>(samples + (i + k) * stride) = row[k];
    }
  }
  for (std::size_t c = 0; c < columns; ++c)
    for (std::size_t k = i; k < n; ++k) __builtin_memcpy(samples + k * stride + 2 * c, in + c * distance + 2 * k, 2);
}

static void interleave(const std::int16_t* x, std::size_t distance, std::size_t frames, std::int16_t* y) {
  std::size_t t = 0;
  for (; t + 8 <= frames; t += 8) {
    I16x8 row[8];
#pragma GCC unroll 8
    for (std::size_t l = 0; l < lanes; ++l) row[l] = *reinterpret_cast<const I16x8*>(x + l * distance + t);
    transpose(row);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 8; ++i) *reinterpret_cast<I16x8*>(y + 8 * (t + i)) = row[i];
  }
  for (; t < frames; ++t)
    for (std::size_t l = 0; l < lanes; ++l) y[8 * t + l] = x[l * distance + t];
}

static void deinterleave(const std::int16_t* y, std::size_t frames, std::int16_t* x) {
  std::size_t t = 0;
  for (; t + 8 <= frames; t += 8) {
    I16x8 row[8];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 8; ++i) row[i] = *reinterpret_cast<const I16x8*>(y + 8 * (t + i));
    transpose(row);
#pragma GCC unroll 8
    for (std::size_t l = 0; l < lanes; ++l) *reinterpret_cast<I16x8*>(x + l * frames + t) = row[l];
  }
  for (; t < frames; ++t)
    for (std::size_t l = 0; l < lanes; ++l) x[l * frames + t] = y[8 * t + l];
}

template <class Real, class Bits>
static std::size_t quantise(const Real* x, std::size_t n, double quantum, std::int32_t* k, std::int32_t* smallest,
                            std::int32_t* largest) {
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52: adding and subtracting it rounds to an integer
  constexpr double kLimit = 1073741824.0;
  const double inverse = 1.0 / quantum;
  std::size_t wrong = 0;
  std::int32_t low = 1073741824;
  std::int32_t high = -1073741824;
  for (std::size_t i = 0; i < n; ++i) {
    double scaled = static_cast<double>(x[i]) * inverse;
    scaled = scaled > -kLimit ? scaled : -kLimit;  // NaN, too
    scaled = scaled < kLimit ? scaled : kLimit;
    const double rounded = (scaled + kMagic) - kMagic;
    const auto integer = static_cast<std::int32_t>(rounded);
    const Real back = static_cast<Real>(rounded * quantum);
    Bits a;
    Bits b;
    __builtin_memcpy(&a, &back, sizeof a);
    __builtin_memcpy(&b, x + i, sizeof b);
    wrong += a != b ? 1 : 0;
    low = integer < low ? integer : low;
    high = integer > high ? integer : high;
    k[i] = integer;
  }
  *smallest = low;
  *largest = high;
  return wrong;
}

static std::size_t quantise_f32(const float* x, std::size_t n, double quantum, std::int32_t* k, std::int32_t* smallest,
                                std::int32_t* largest) {
  // Four at a time, with the same operations as above.
  const F64x4 magic = F64x4{} + 6755399441055744.0;
  const F64x4 limit = F64x4{} + 1073741824.0;
  const F64x4 inverse = F64x4{} + 1.0 / quantum;
  I32x4 low = I32x4{} + 1073741824;
  I32x4 high = I32x4{} - 1073741824;
  I32x4 wrong = {};
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const F32x4 v = *reinterpret_cast<const F32x4*>(x + i);
    F64x4 scaled = __builtin_convertvector(v, F64x4) * inverse;
    scaled = scaled > -limit ? scaled : -limit;
    scaled = scaled < limit ? scaled : limit;
    const F64x4 rounded = (scaled + magic) - magic;
    const I32x4 integer = __builtin_convertvector(rounded, I32x4);
    const F32x4 back = __builtin_convertvector(rounded * quantum, F32x4);
    wrong -= reinterpret_cast<I32x4>(back) != reinterpret_cast<I32x4>(v);
    low = integer < low ? integer : low;
    high = integer > high ? integer : high;
    *reinterpret_cast<I32x4*>(k + i) = integer;
  }
  std::int32_t rest_low = 0;
  std::int32_t rest_high = 0;
  std::size_t count = quantise<float, std::uint32_t>(x + i, n - i, quantum, k + i, &rest_low, &rest_high);
  for (int l = 0; l < 4; ++l) {
    count += static_cast<std::size_t>(wrong[l]);
    rest_low = low[l] < rest_low ? low[l] : rest_low;
    rest_high = high[l] > rest_high ? high[l] : rest_high;
  }
  *smallest = rest_low;
  *largest = rest_high;
  return count;
}

static std::size_t quantise_f64(const double* x, std::size_t n, double quantum, std::int32_t* k, std::int32_t* smallest,
                                std::int32_t* largest) {
  return quantise<double, std::uint64_t>(x, n, quantum, k, smallest, largest);
}

static void statistics_f32(const float* x, std::size_t n, float* low, float* high, double* sum, std::uint32_t* nans) {
  F32x8 lows = *reinterpret_cast<const F32x8*>(low);
  F32x8 highs = *reinterpret_cast<const F32x8*>(high);
  F64x4 sums[2] = {*reinterpret_cast<const F64x4*>(sum), *reinterpret_cast<const F64x4*>(sum + 4)};
  U32x8 count = *reinterpret_cast<const U32x8*>(nans);
  for (std::size_t i = 0; i < n; i += 8) {
    const F32x8 v = *reinterpret_cast<const F32x8*>(x + i);
    const I32x8 number = v == v;  // all ones, or 0 for a NaN
    lows = v < lows ? v : lows;
    highs = v > highs ? v : highs;
    count += reinterpret_cast<U32x8>(number) + 1;
    const F32x8 kept = reinterpret_cast<F32x8>(reinterpret_cast<I32x8>(v) & number);
    sums[0] += __builtin_convertvector(__builtin_shufflevector(kept, kept, 0, 1, 2, 3), F64x4);
    sums[1] += __builtin_convertvector(__builtin_shufflevector(kept, kept, 4, 5, 6, 7), F64x4);
  }
  *reinterpret_cast<F32x8*>(low) = lows;
  *reinterpret_cast<F32x8*>(high) = highs;
  *reinterpret_cast<F64x4*>(sum) = sums[0];
  *reinterpret_cast<F64x4*>(sum + 4) = sums[1];
  *reinterpret_cast<U32x8*>(nans) = count;
}

static void narrow(const std::int32_t* k, std::size_t n, std::int32_t base, std::int16_t* y) {
  for (std::size_t i = 0; i < n; ++i)
    y[i] = static_cast<std::int16_t>(static_cast<std::uint32_t>(k[i]) - static_cast<std::uint32_t>(base));
}

static void scale_f32(const std::int16_t* y, std::size_t n, std::int32_t base, double quantum, float* x) {
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(static_cast<double>(y[i] + base) * quantum);
}

static void scale_f64(const std::int16_t* y, std::size_t n, std::int32_t base, double quantum, double* x) {
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<double>(y[i] + base) * quantum;
}

static inline I32x8 load_frame(const std::int16_t* y) {
  return __builtin_convertvector(*reinterpret_cast<const I16x8*>(y), I32x8);
}

static void autocorrelate(const std::int16_t* y, const float* w, std::size_t frames, int order, float* scratch,
                          double* r) {
  float* v = scratch + 8 * max_order;
  for (std::size_t i = 0; i < 8 * max_order; ++i) scratch[i] = 0;
  for (std::size_t t = 0; t < frames; ++t)
    *reinterpret_cast<F32x8*>(v + 8 * t) = __builtin_convertvector(load_frame(y + 8 * t), F32x8) * w[t];
  for (int i = 0; i < 8 * (max_order + 1); ++i) r[i] = 0;
  // A few lags at a time, so that the sums stay in registers; 256 frames at a time in single precision.
  constexpr int kGroup = 6;
  for (int first = 0; first <= order; first += kGroup) {
    for (std::size_t begin = 0; begin < frames; begin += 256) {
      const std::size_t end = begin + 256 < frames ? begin + 256 : frames;
      F32x8 sum[kGroup] = {};
      for (std::size_t t = begin; t < end; ++t) {
        const F32x8 now = *reinterpret_cast<const F32x8*>(v + 8 * t);
        const float* past = v + 8 * t - 8 * first;
#pragma GCC unroll 6
        for (int i = 0; i < kGroup; ++i) {
          if (first + i > max_order) break;
          sum[i] += now * *reinterpret_cast<const F32x8*>(past - 8 * i);
        }
      }
      for (int i = 0; i < kGroup && first + i <= order; ++i)
        for (int l = 0; l < 8; ++l) r[8 * (first + i) + l] += static_cast<double>(sum[i][l]);
    }
  }
}

// Two neighbours of a lane side by side, as multiply-add instructions take them: the newer in the low half.
static inline U32x8 pair_of(U32x8 newer, U32x8 older) { return (newer & 0xFFFF) | (older << 16); }

// For each lane: low half of a times low half of b plus high half times high half, signed.
static inline U32x8 multiply_add(U32x8 a, U32x8 b) {
#if defined(__AVX2__)
  return reinterpret_cast<U32x8>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  const auto low = [](U32x8 v) { return reinterpret_cast<U32x8>(reinterpret_cast<I32x8>(v << 16) >> 16); };
  const auto high = [](U32x8 v) { return reinterpret_cast<U32x8>(reinterpret_cast<I32x8>(v) >> 16); };
  return low(a) * low(b) + high(a) * high(b);
#endif
}

static inline U32x8 load_words(const std::int16_t* p) { return reinterpret_cast<U32x8>(load_frame(p)); }

// Goes through the frames behind y's history with the prediction of each: advance(t, prediction) gives back the frame
// itself, 16 bits in each 32, which the next predictions are made from.
template <int Order, class Advance>
static inline void for_each_prediction(const std::int16_t* y, std::size_t frames, const std::int16_t* c, int shift,
                                       Advance advance) {
  constexpr int kPairs = Order / 2;
  U32x8 coefficient[kPairs];
  for (int j = 0; j < kPairs; ++j) coefficient[j] = pair_of(load_words(c + 16 * j), load_words(c + 16 * j + 8));
  // Pair j: the frames 2 j + 1 and 2 j + 2 before the present one; two histories, for even and odd frames.
  U32x8 even[kPairs];
  U32x8 odd[kPairs];
  for (int j = 0; j < kPairs; ++j) {
    even[j] = pair_of(load_words(y - 16 * j - 8), load_words(y - 16 * j - 16));
    odd[j] = j == 0 ? U32x8{} : pair_of(load_words(y - 16 * j), load_words(y - 16 * j - 8));
  }
  const U32x8 half = U32x8{} + (1u << (shift - 1));
  U32x8 before = load_words(y - 8);
  const auto step = [&](std::size_t t, const U32x8* past) {
    U32x8 sum = half;
#pragma GCC unroll 8
    for (int j = kPairs - 1; j >= 1; --j) sum += multiply_add(past[j], coefficient[j]);
    sum += multiply_add(past[0], coefficient[0]);  // the newest last: only it has to be waited for
    const U32x8 now = advance(t, reinterpret_cast<U32x8>(reinterpret_cast<I32x8>(sum) >> shift));
    const U32x8 newest = pair_of(now, before);
    before = now;
    return newest;
  };
  std::size_t t = 0;
  for (; t + 2 <= frames; t += 2) {
    // Frame t uses the pairs that end at t - 1, frame t + 1 those that end at t.
    odd[0] = step(t, even);
    const U32x8 newest = step(t + 1, odd);
#pragma GCC unroll 8
    for (int j = kPairs - 1; j >= 1; --j) {
      even[j] = even[j - 1];
      odd[j] = odd[j - 1];
    }
    even[0] = newest;
  }
  if (t < frames) (void)step(t, even);
}

template <int Order>
static void predict_order(const std::int16_t* y, std::size_t frames, const std::int16_t* c, int shift,
                          std::uint16_t* z) {
  for_each_prediction<Order>(y, frames, c, shift, [&](std::size_t t, U32x8 prediction) {
    const U16x8 now = *reinterpret_cast<const U16x8*>(y + 8 * t);
    const U16x8 d = now - __builtin_convertvector(prediction, U16x8);
    *reinterpret_cast<U16x8*>(z + 8 * t) = (d << 1) ^ (U16x8{} - (d >> 15));
    return __builtin_convertvector(now, U32x8);
  });
}

template <int Order>
static void reconstruct_order(const std::uint16_t* z, std::size_t frames, const std::int16_t* c, int shift,
                              std::int16_t* y) {
  for_each_prediction<Order>(y, frames, c, shift, [&](std::size_t t, U32x8 prediction) {
    const U16x8 coded = *reinterpret_cast<const U16x8*>(z + 8 * t);
    const U16x8 d = (coded >> 1) ^ (U16x8{} - (coded & 1));
    // In 32 bits to the end: narrowing and widening would lie between one frame and the next.
    const U32x8 now = prediction + __builtin_convertvector(d, U32x8);
    *reinterpret_cast<U16x8*>(y + 8 * t) = __builtin_convertvector(now, U16x8);
    return now;
  });
}

static void predict(const std::int16_t* y, std::size_t frames, const std::int16_t* c, int order, int shift,
                    std::uint16_t* z) {
  switch (order) {
    case 4:
      return predict_order<4>(y, frames, c, shift, z);
    case 8:
      return predict_order<8>(y, frames, c, shift, z);
    case 12:
      return predict_order<12>(y, frames, c, shift, z);
    default:
      return predict_order<16>(y, frames, c, shift, z);
  }
}

static void reconstruct(const std::uint16_t* z, std::size_t frames, const std::int16_t* c, int order, int shift,
                        std::int16_t* y) {
  switch (order) {
    case 4:
      return reconstruct_order<4>(z, frames, c, shift, y);
    case 8:
      return reconstruct_order<8>(z, frames, c, shift, y);
    case 12:
      return reconstruct_order<12>(z, frames, c, shift, y);
    default:
      return reconstruct_order<16>(z, frames, c, shift, y);
  }
}

static constexpr Table make_table(const char* name) {
  Table table{};
  table.name = name;
  table.difference = difference;
  table.integrate = integrate;
  table.sum_miniblocks = sum_miniblocks;
  table.take_high = take_high;
  table.pack_low = pack_low;
  table.join = join;
  table.gather_16 = gather_16;
  table.scatter_16 = scatter_16;
  table.interleave = interleave;
  table.deinterleave = deinterleave;
  table.quantise_f32 = quantise_f32;
  table.quantise_f64 = quantise_f64;
  table.statistics_f32 = statistics_f32;
  table.narrow = narrow;
  table.scale_f32 = scale_f32;
  table.scale_f64 = scale_f64;
  table.autocorrelate = autocorrelate;
  table.predict = predict;
  table.reconstruct = reconstruct;
  return table;
}

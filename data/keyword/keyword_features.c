#include "keyword_features.h"

#define LOG2_SAMPLES 9
#define QUARTER (KEYWORD_SAMPLES / 4)

/* sin(2 pi i / 512) * 32767 of a quarter of the circle, both ends included. */
static const int16_t sine[QUARTER + 1] = {
    0,     402,   804,   1206,  1608,  2009,  2410,  2811,  3212,  3612,  4011,  4410,  4808,  5205,  5602,
    5998,  6393,  6786,  7179,  7571,  7962,  8351,  8739,  9126,  9512,  9896,  10278, 10659, 11039, 11417,
    11793, 12167, 12539, 12910, 13279, 13645, 14010, 14372, 14732, 15090, 15446, 15800, 16151, 16499, 16846,
    17189, 17530, 17869, 18204, 18537, 18868, 19195, 19519, 19841, 20159, 20475, 20787, 21096, 21403, 21705,
    22005, 22301, 22594, 22884, 23170, 23452, 23731, 24007, 24279, 24547, 24811, 25072, 25329, 25582, 25832,
    26077, 26319, 26556, 26790, 27019, 27245, 27466, 27683, 27896, 28105, 28310, 28510, 28706, 28898, 29085,
    29268, 29447, 29621, 29791, 29956, 30117, 30273, 30424, 30571, 30714, 30852, 30985, 31113, 31237, 31356,
    31470, 31580, 31685, 31785, 31880, 31971, 32057, 32137, 32213, 32285, 32351, 32412, 32469, 32521, 32567,
    32609, 32646, 32678, 32705, 32728, 32745, 32757, 32765, 32767};

/* Where triangle i begins, i + 1 has its top, and i + 2 ends, in bins of 31.25 Hz. */
static const uint8_t edges[KEYWORD_BANDS + 2] = {3,  6,  9,  13, 17,  22,  27,  33,  39,  46,  54,
                                                 63, 73, 84, 97, 111, 127, 144, 163, 185, 210, 237};

/* cos(2 pi i / 512) * 32767, for i from 0 to 511. */
static int32_t cosine(uint32_t i) {
  if (i > KEYWORD_SAMPLES / 2) i = KEYWORD_SAMPLES - i;
  return i <= QUARTER ? sine[QUARTER - i] : -sine[i - QUARTER];
}

/* -sin(2 pi i / 512) * 32767, for i from 0 to 255: the imaginary part of a twiddle factor. */
static int32_t minus_sine(uint32_t i) { return -(i <= QUARTER ? sine[i] : sine[KEYWORD_SAMPLES / 2 - i]); }

/* value * factor / 2^15, rounded down: |value| < 2^30. Without a shift of a negative number, which C99 leaves open. */
static int32_t times_q15(int32_t value, int32_t factor) {
  const int64_t product = (int64_t)value * factor;
  return (int32_t)(product >= 0 ? product / 32768 : -((32767 - product) / 32768));
}

static uint32_t reversed(uint32_t i) {
  uint32_t bits = 0;
  int bit;
  for (bit = 0; bit < LOG2_SAMPLES; ++bit) bits |= ((i >> bit) & 1u) << (LOG2_SAMPLES - 1 - bit);
  return bits;
}

/* The tapered samples, in the order in which the transform wants them. */
static void taper(const int16_t* samples, keyword_scratch* s) {
  uint32_t i;
  for (i = 0; i < KEYWORD_SAMPLES; ++i) {
    const uint32_t to = reversed(i);
    s->real[to] = times_q15(samples[i], (32767 - cosine(i)) / 2);
    s->imaginary[to] = 0;
  }
}

/* A Fourier transform in place, radix 2, not scaled: 15 bits of samples grow to 24. */
static void transform(keyword_scratch* s) {
  uint32_t half, first, k;
  for (half = 1; half < KEYWORD_SAMPLES; half *= 2) {
    const uint32_t turn = KEYWORD_SAMPLES / 2 / half;
    for (first = 0; first < KEYWORD_SAMPLES; first += 2 * half) {
      for (k = 0; k < half; ++k) {
        const uint32_t a = first + k;
        const uint32_t b = a + half;
        const int32_t c = cosine(k * turn);
        const int32_t d = minus_sine(k * turn);
        const int32_t real = times_q15(s->real[b], c) - times_q15(s->imaginary[b], d);
        const int32_t imaginary = times_q15(s->real[b], d) + times_q15(s->imaginary[b], c);
        s->real[b] = s->real[a] - real;
        s->imaginary[b] = s->imaginary[a] - imaginary;
        s->real[a] += real;
        s->imaginary[a] += imaginary;
      }
    }
  }
}

/* Of a triangle 256 high at its top. At most 2^48 * 256 * 27 bins: it fits. */
static uint64_t energy_of_band(const keyword_scratch* s, int band) {
  const uint32_t begin = edges[band], top = edges[band + 1], end = edges[band + 2];
  uint64_t sum = 0;
  uint32_t k;
  for (k = begin + 1; k < end; ++k) {
    const uint32_t weight = k <= top ? 256 * (k - begin) / (top - begin) : 256 * (end - k) / (end - top);
    const int64_t real = s->real[k], imaginary = s->imaginary[k];
    sum += (uint64_t)(real * real + imaginary * imaginary) * weight;
  }
  return sum;
}

/* 4 log2(1 + x), linear between powers of two. */
static int32_t log2_q2(uint64_t x) {
  int32_t exponent = 0;
  x += 1;
  while ((x >> exponent) > 1) ++exponent;
  return 4 * exponent + (int32_t)((exponent >= 2 ? x >> (exponent - 2) : x << (2 - exponent)) & 3u);
}

void keyword_features(const int16_t samples[KEYWORD_SAMPLES], keyword_scratch* scratch,
                      int8_t features[KEYWORD_BANDS]) {
  int band;
  taper(samples, scratch);
  transform(scratch);
  for (band = 0; band < KEYWORD_BANDS; ++band) {
    const int32_t value = log2_q2(energy_of_band(scratch, band)) - 128;
    features[band] = (int8_t)(value > 127 ? 127 : value);
  }
}

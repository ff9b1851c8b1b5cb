#include <math.h>

#include "sds/sds_features.h"

static const double pi = 3.14159265358979323846;

size_t sds_fft_floats(uint32_t length) {
  const int is_power_of_two = (length & (length - 1)) == 0;
  return is_power_of_two && length >= SDS_FFT_MIN && length <= SDS_FFT_MAX ? length : 0;
}

int32_t sds_fft_init(sds_fft_t* fft, uint32_t length, float* memory) {
  if (sds_fft_floats(length) == 0) return -1;
  for (uint32_t k = 0; k < length / 2; ++k) {
    memory[2 * k] = (float)cos(2 * pi * k / length);
    memory[2 * k + 1] = (float)-sin(2 * pi * k / length);
  }
  fft->length = length;
  fft->roots = memory;
  return 0;
}

static void swap(float* a, float* b) {
  const float kept = *a;
  *a = *b;
  *b = kept;
}

/* Puts complex value i where i's bits, read backwards, say. */
static void reverse_bits(float* values, uint32_t count) {
  for (uint32_t i = 1, j = 0; i < count; ++i) {
    uint32_t bit = count >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    swap(&values[2 * i], &values[2 * j]);
    swap(&values[2 * i + 1], &values[2 * j + 1]);
  }
}

/* Of `count` complex values, by halves; `roots` are those of 2 * count. */
static void transform(const float* roots, float* values, uint32_t count) {
  reverse_bits(values, count);
  for (uint32_t half = 1; half < count; half *= 2) {
    const uint32_t step = count / half; /* from one root of this round to the next */
    for (uint32_t begin = 0; begin < count; begin += 2 * half)
      for (uint32_t k = 0; k < half; ++k) {
        const float re = roots[2 * k * step], im = roots[2 * k * step + 1];
        float* even = values + 2 * (begin + k);
        float* odd = even + 2 * half;
        const float r = odd[0] * re - odd[1] * im, i = odd[0] * im + odd[1] * re;
        odd[0] = even[0] - r;
        odd[1] = even[1] - i;
        even[0] += r;
        even[1] += i;
      }
  }
}

/* The values in turn are the real and imaginary parts of half as many; their spectrum is taken apart into that of the
 * even and of the odd values, which make the whole. */
void sds_fft_forward(const sds_fft_t* fft, float* values) {
  const uint32_t half = fft->length / 2;
  transform(fft->roots, values, half);
  const float first = values[0];
  values[0] = first + values[1];
  values[2 * half] = first - values[1];
  values[1] = values[2 * half + 1] = 0;
  for (uint32_t k = 1; k <= half / 2; ++k) {
    float* a = values + 2 * k;
    float* b = values + 2 * (half - k);
    const float even_re = (a[0] + b[0]) * 0.5f, even_im = (a[1] - b[1]) * 0.5f;
    const float odd_re = (a[1] + b[1]) * 0.5f, odd_im = (b[0] - a[0]) * 0.5f;
    const float re = fft->roots[2 * k], im = fft->roots[2 * k + 1];
    const float r = odd_re * re - odd_im * im, i = odd_re * im + odd_im * re;
    a[0] = even_re + r;
    a[1] = even_im + i;
    b[0] = even_re - r;
    b[1] = i - even_im;
  }
}

void sds_taper(sds_taper_t taper, uint32_t length, float* factors) {
  for (uint32_t i = 0; i < length; ++i) {
    const double wave = cos(2 * pi * i / length);
    if (taper == SDS_TAPER_NONE) factors[i] = 1;
    if (taper == SDS_TAPER_HANN) factors[i] = (float)(0.5 - 0.5 * wave);
    if (taper == SDS_TAPER_HAMMING) factors[i] = (float)(0.54 - 0.46 * wave);
  }
}

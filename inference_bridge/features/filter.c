#include <math.h>

#include "sds/sds_features.h"

static const double pi = 3.14159265358979323846;

double sds_biquad(const sds_biquad_t* b, sds_biquad_state_t* state, double value) {
  const double out = b->b0 * value + state->s1;
  state->s1 = b->b1 * value - b->a1 * out + state->s2;
  state->s2 = b->b2 * value - b->a2 * out;
  return out;
}

static int32_t clipped(int64_t value) {
  const int64_t most = (int64_t)1 << 28; /* five products of it stay within 64 bits */
  return (int32_t)(value > most ? most : value < -most ? -most : value);
}

int32_t sds_biquad_q29(const sds_biquad_q29_t* b, sds_biquad_q29_state_t* s, int32_t value) {
  value = clipped(value);
  const int64_t sum = (int64_t)b->b0 * value + (int64_t)b->b1 * s->x1 + (int64_t)b->b2 * s->x2 -
                      (int64_t)b->a1 * s->y1 - (int64_t)b->a2 * s->y2 + s->rest;
  const int64_t one = (int64_t)1 << 29;
  int64_t whole = sum / one;
  if (sum % one < 0) --whole; /* down: what is left, which is carried on, must not have the sign of the signal */
  s->rest = (int32_t)(sum - whole * one);
  s->x2 = s->x1;
  s->x1 = value;
  s->y2 = s->y1;
  s->y1 = clipped(whole);
  return s->y1;
}

static int in_q29(double coefficient, int32_t* fixed) {
  if (!(coefficient > -4 && coefficient < 4)) return 0;
  *fixed = (int32_t)lround(coefficient * (1 << 29) < 2147483647.0 ? coefficient * (1 << 29) : 2147483647.0);
  return 1;
}

int32_t sds_biquad_to_q29(const sds_biquad_t* section, sds_biquad_q29_t* fixed) {
  return in_q29(section->b0, &fixed->b0) && in_q29(section->b1, &fixed->b1) && in_q29(section->b2, &fixed->b2) &&
                 in_q29(section->a1, &fixed->a1) && in_q29(section->a2, &fixed->a2)
             ? 0
             : -1;
}

void sds_biquad_of_q29(const sds_biquad_q29_t* fixed, sds_biquad_t* section) {
  const double one = 1 << 29;
  section->b0 = fixed->b0 / one;
  section->b1 = fixed->b1 / one;
  section->b2 = fixed->b2 / one;
  section->a1 = fixed->a1 / one;
  section->a2 = fixed->a2 / one;
}

int32_t sds_biquad_is_stable(const sds_biquad_t* b) { return fabs(b->a2) < 1 && fabs(b->a1) < 1 + b->a2; }

/* Numerator and denominator at z = exp(i phase), taken about z = 1, where low frequencies' sums would cancel. */
double sds_biquad_gain(const sds_biquad_t* b, double phase) {
  const double u = 2 * sin(phase / 2) * sin(phase / 2); /* 1 - cos */
  const double c1 = -u, s1 = -sin(phase);
  const double c2 = -2 * sin(phase) * sin(phase), s2 = -sin(2 * phase); /* cos(2 phase) - 1 */
  const double above_re = (b->b0 + b->b1 + b->b2) + b->b1 * c1 + b->b2 * c2, above_im = b->b1 * s1 + b->b2 * s2;
  const double below_re = (1 + b->a1 + b->a2) + b->a1 * c1 + b->a2 * c2, below_im = b->a1 * s1 + b->a2 * s2;
  return sqrt((above_re * above_re + above_im * above_im) / (below_re * below_re + below_im * below_im));
}

/* The analogue filter's poles lie on a half circle; each pair gives a section s^2 + q s + 1, and s becomes
 * (1 - 1/z) / (1 + 1/z) / tan(pi cutoff / rate). */
uint32_t sds_butterworth(sds_pass_t pass, uint32_t order, double cutoff, double rate, sds_biquad_t* sections) {
  if (order < 1 || order > SDS_BUTTERWORTH_MAX || !(cutoff > 0) || !(cutoff < rate / 2)) return 0;
  const double k = tan(pi * cutoff / rate);
  uint32_t count = 0;
  if (order % 2 == 1) { /* the pole at -1 */
    const double norm = 1 / (1 + k);
    const double b0 = pass == SDS_LOWPASS ? k * norm : norm;
    const sds_biquad_t section = {b0, pass == SDS_LOWPASS ? b0 : -b0, 0, (k - 1) * norm, 0};
    sections[count++] = section;
  }
  for (uint32_t pair = 0; pair < order / 2; ++pair) {
    const double q = 2 * sin(pi * (2.0 * pair + 1) / (2.0 * order));
    const double norm = 1 / (1 + q * k + k * k);
    const double b0 = pass == SDS_LOWPASS ? k * k * norm : norm;
    const sds_biquad_t section = {b0, pass == SDS_LOWPASS ? 2 * b0 : -2 * b0, b0, 2 * (k * k - 1) * norm,
                                  (1 - q * k + k * k) * norm};
    sections[count++] = section;
  }
  return count;
}

double sds_filter_error(const sds_biquad_t* filter, const sds_biquad_t* other, uint32_t count) {
  enum { steps = 600 };
  double largest = 0, difference = 0;
  for (int i = 0; i <= steps; ++i) {
    const double phase = pi * pow(10, -6.0 * (steps - i) / steps);
    double gain = 1, other_gain = 1;
    for (uint32_t s = 0; s < count; ++s) {
      gain *= sds_biquad_gain(&filter[s], phase);
      other_gain *= sds_biquad_gain(&other[s], phase);
    }
    if (gain > largest) largest = gain;
    if (!(fabs(gain - other_gain) <= difference)) difference = fabs(gain - other_gain);
  }
  return difference == 0 ? 0 : difference / largest;
}

/* The size of the impulse response of (1 - 1/z) / (1 + a1/z + a2/z^2): what is rounded is carried into the next sum. */
double sds_biquad_q29_noise(const sds_biquad_q29_t* fixed) {
  sds_biquad_t section;
  sds_biquad_of_q29(fixed, &section);
  if (!sds_biquad_is_stable(&section)) return INFINITY;
  double size = 0, y1 = 0, y2 = 0;
  for (uint32_t n = 0; n < 1u << 20; ++n) {
    const double y = (n == 0 ? 1 : n == 1 ? -1 : 0) - section.a1 * y1 - section.a2 * y2;
    size += fabs(y);
    y2 = y1;
    y1 = y;
  }
  return size;
}

int32_t sds_filter_is_exact(const sds_biquad_t* sections, uint32_t count, sds_pass_t pass, double cutoff, double rate) {
  double at_cutoff = 1, where_all_passes = 1;
  for (uint32_t i = 0; i < count; ++i) {
    if (!sds_biquad_is_stable(&sections[i])) return 0;
    at_cutoff *= sds_biquad_gain(&sections[i], 2 * pi * cutoff / rate);
    where_all_passes *= sds_biquad_gain(&sections[i], pass == SDS_LOWPASS ? 0 : pi);
  }
  return fabs(where_all_passes - 1) < 0.01 && fabs(at_cutoff - sqrt(0.5)) < 0.01;
}

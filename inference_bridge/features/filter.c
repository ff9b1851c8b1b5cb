#include <math.h>

#include "sds/sds_features.h"

static const double pi = 3.14159265358979323846;

float sds_biquad(const sds_biquad_t* b, sds_biquad_state_t* state, float value) {
  const float out = b->b0 * value + state->s1;
  state->s1 = b->b1 * value - b->a1 * out + state->s2;
  state->s2 = b->b2 * value - b->a2 * out;
  return out;
}

static int32_t clipped(int64_t value) {
  const int64_t most = (int64_t)1 << 28; /* five products of it stay within 64 bits */
  return (int32_t)(value > most ? most : value < -most ? -most : value);
}

int32_t sds_biquad_q30(const sds_biquad_q30_t* b, sds_biquad_q30_state_t* s, int32_t value) {
  value = clipped(value);
  const int64_t sum = (int64_t)b->b0 * value + (int64_t)b->b1 * s->x1 + (int64_t)b->b2 * s->x2 -
                      (int64_t)b->a1 * s->y1 - (int64_t)b->a2 * s->y2 + s->rest;
  const int64_t one = (int64_t)1 << 30;
  const int64_t whole = sum / one; /* towards 0; what is left is carried on */
  s->rest = (int32_t)(sum - whole * one);
  s->x2 = s->x1;
  s->x1 = value;
  s->y2 = s->y1;
  s->y1 = clipped(whole);
  return s->y1;
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
    const sds_biquad_t section = {(float)b0, (float)(pass == SDS_LOWPASS ? b0 : -b0), 0, (float)((k - 1) * norm), 0};
    sections[count++] = section;
  }
  for (uint32_t pair = 0; pair < order / 2; ++pair) {
    const double q = 2 * sin(pi * (2.0 * pair + 1) / (2.0 * order));
    const double norm = 1 / (1 + q * k + k * k);
    const double b0 = pass == SDS_LOWPASS ? k * k * norm : norm;
    const sds_biquad_t section = {(float)b0, (float)(pass == SDS_LOWPASS ? 2 * b0 : -2 * b0), (float)b0,
                                  (float)(2 * (k * k - 1) * norm), (float)((1 - q * k + k * k) * norm)};
    sections[count++] = section;
  }
  return count;
}

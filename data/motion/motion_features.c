#include "motion_features.h"

/* 8 * log2(1 + x), with linear interpolation between powers of two. */
static int32_t log2_q3(uint32_t x) {
  int32_t exponent = 0;
  uint32_t mantissa;
  x += 1;
  while ((x >> exponent) > 1) ++exponent;
  mantissa = exponent >= 3 ? (x >> (exponent - 3)) & 7u : (x << (3 - exponent)) & 7u;
  return 8 * exponent + (int32_t)mantissa;
}

static int8_t clip(int32_t value) { return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value); }

static int32_t floor_div(int32_t a, int32_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

void motion_features(const int16_t* samples, uint32_t frames, int8_t features[MOTION_FEATURES]) {
  int axis;
  for (axis = 0; axis < MOTION_AXES; ++axis) {
    int32_t sum = 0;
    int32_t mean;
    uint32_t deviation = 0;
    uint32_t crossings = 0;
    int side = 0;
    uint32_t i;
    for (i = 0; i < frames; ++i) sum += samples[i * MOTION_AXES + (uint32_t)axis];
    mean = floor_div(sum, (int32_t)frames);
    for (i = 0; i < frames; ++i) {
      const int32_t d = samples[i * MOTION_AXES + (uint32_t)axis] - mean;
      const int now = d > 24 ? 1 : d < -24 ? -1 : side;
      if (side != 0 && now != side) ++crossings;
      side = now;
      deviation += (uint32_t)(d < 0 ? -d : d);
    }
    features[3 * axis] = clip(floor_div(mean, 256));
    features[3 * axis + 1] = clip(log2_q3(deviation / frames));
    features[3 * axis + 2] = clip((int32_t)(crossings * 512u / frames));
  }
}

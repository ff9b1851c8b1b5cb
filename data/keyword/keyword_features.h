/* What the keyword spotter hears of 32 ms of sound: the energy in 20 bands, on a logarithmic scale. Portable C99 in
 * whole numbers, so that a microcontroller computes what the host does. */
#ifndef KEYWORD_FEATURES_H
#define KEYWORD_FEATURES_H

#include <stdint.h>

#define KEYWORD_SAMPLES 512 /* of 16 kHz, a frame */
#define KEYWORD_BANDS 20    /* triangles at equal distances in Mel, from 94 to 7406 Hz */

/* Spectra are computed in here: 4 KiB, which hold nothing from one call to the next. */
typedef struct {
  int32_t real[KEYWORD_SAMPLES];
  int32_t imaginary[KEYWORD_SAMPLES];
} keyword_scratch;

/* Each band's 4 log2(energy) - 128: a step is a quarter of a power of two, 0.75 dB. The frame is tapered by a Hann
 * window. */
void keyword_features(const int16_t samples[KEYWORD_SAMPLES], keyword_scratch* scratch, int8_t features[KEYWORD_BANDS]);

#endif

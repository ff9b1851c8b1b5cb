/* Features of one block of 6-axis motion data. Integer arithmetic only: the same numbers on a microcontroller and on a
 * host. */
#ifndef MOTION_FEATURES_H
#define MOTION_FEATURES_H

#include <stdint.h>

#define MOTION_AXES 6
#define MOTION_FEATURES (3 * MOTION_AXES)

/* `frames` frames (1 to 4096) of 6 int16 values. Per axis, in this order:
 *   [0] mean / 256
 *   [1] 8 * log2(1 + mean absolute deviation from the mean), at most 127
 *   [2] crossings of the mean by more than 24 steps, times 512, per frame; at most 127 */
void motion_features(const int16_t* samples, uint32_t frames, int8_t features[MOTION_FEATURES]);

#endif

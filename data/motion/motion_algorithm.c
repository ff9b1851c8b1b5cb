/* The example algorithm: recognises idle, walk, shake and rotate from blocks of 6-axis IMU data. Features, smoothed
 * over blocks, go through a small int8 network whose weights train_motion.py learned from simulated data. Portable
 * C99 without floating point: what runs here runs unchanged on a Cortex-M0. */
#include <string.h>

#include "algorithm.h"
#include "motion_features.h"
#include "motion_model.h"

#define FRAME_BYTES (2u * MOTION_AXES)
#define OUTPUT_BYTES (2u * MOTION_CLASSES + 1u)

static int16_t smoothed[MOTION_FEATURES]; /* Q4 */
static int has_history;

int32_t InitAlgorithm(void) {
  ResetAlgorithm();
  return 0;
}

void ResetAlgorithm(void) {
  memset(smoothed, 0, sizeof smoothed);
  has_history = 0;
}

static int32_t round_shift(int32_t value, int shift) { return (value + (1 << (shift - 1))) >> shift; }

static void run_network(const int8_t input[MOTION_FEATURES], int16_t scores[MOTION_CLASSES]) {
  uint8_t hidden[MOTION_HIDDEN];
  int i;
  int j;
  for (i = 0; i < MOTION_HIDDEN; ++i) {
    int32_t sum = motion_hidden_bias[i];
    for (j = 0; j < MOTION_FEATURES; ++j) sum += motion_hidden_weights[i][j] * input[j];
    sum = round_shift(sum, MOTION_HIDDEN_SHIFT);
    hidden[i] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
  }
  for (i = 0; i < MOTION_CLASSES; ++i) {
    int32_t sum = motion_output_bias[i];
    for (j = 0; j < MOTION_HIDDEN; ++j) sum += motion_output_weights[i][j] * hidden[j];
    sum = round_shift(sum, MOTION_OUTPUT_SHIFT);
    scores[i] = (int16_t)(sum < -32768 ? -32768 : sum > 32767 ? 32767 : sum);
  }
}

int32_t ExecuteAlgorithm(uint8_t* in_buf, uint32_t in_num, uint8_t* out_buf, uint32_t out_num) {
  int16_t samples[160 * MOTION_AXES];
  int8_t features[MOTION_FEATURES];
  int16_t scores[MOTION_CLASSES];
  const uint32_t frames = in_num / FRAME_BYTES;
  uint8_t best = 0;
  int i;
  if (frames == 0 || in_num % FRAME_BYTES != 0 || in_num > sizeof samples || out_num < OUTPUT_BYTES) return -1;
  memcpy(samples, in_buf, in_num);
  motion_features(samples, frames, features);
  for (i = 0; i < MOTION_FEATURES; ++i) {
    /* A one-pole low-pass: a quarter new, three quarters history. */
    const int fresh = features[i] * 16;
    smoothed[i] = (int16_t)(has_history ? smoothed[i] + (fresh - smoothed[i]) / 4 : fresh);
    features[i] = (int8_t)(smoothed[i] / 16);
  }
  has_history = 1;
  run_network(features, scores);
  for (i = 1; i < MOTION_CLASSES; ++i)
    if (scores[i] > scores[best]) best = (uint8_t)i;
  for (i = 0; i < MOTION_CLASSES; ++i) {
    out_buf[2 * i] = (uint8_t)(scores[i] & 0xFF);
    out_buf[2 * i + 1] = (uint8_t)((scores[i] >> 8) & 0xFF);
  }
  out_buf[2 * MOTION_CLASSES] = best;
  return 0;
}

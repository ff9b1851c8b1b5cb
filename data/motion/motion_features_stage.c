/* The features of the motion algorithm by themselves, behind sds_algorithm.h: 18 smoothed int8 values for each block of
 * IMU data. data/motion.yml puts them before the network as a .tflite model. */
#include <stdlib.h>
#include <string.h>

#include "motion_features.h"
#include "sds/sds_algorithm.h"

#define MAX_FRAMES 160

typedef struct {
  int16_t smoothed[MOTION_FEATURES]; /* Q4 */
  int has_history;
} state;

static void* create(const char* configuration, char* error, size_t error_bytes) {
  (void)configuration;
  (void)error;
  (void)error_bytes;
  return calloc(1, sizeof(state));
}

static void reset(void* instance) { memset(instance, 0, sizeof(state)); }

static int32_t execute(void* instance, const sds_block* block, sds_output* outputs) {
  state* s = (state*)instance;
  int16_t samples[MAX_FRAMES * MOTION_AXES];
  int8_t features[MOTION_FEATURES];
  const uint32_t frames = block->bytes / (2u * MOTION_AXES);
  int i;
  if (frames == 0 || block->bytes % (2u * MOTION_AXES) != 0 || block->bytes > sizeof samples) return -1;
  memcpy(samples, block->data, block->bytes);
  motion_features(samples, frames, features);
  for (i = 0; i < MOTION_FEATURES; ++i) {
    const int fresh = features[i] * 16;
    s->smoothed[i] = (int16_t)(s->has_history ? s->smoothed[i] + (fresh - s->smoothed[i]) / 4 : fresh);
    outputs[0].data[i] = (uint8_t)(s->smoothed[i] / 16);
  }
  s->has_history = 1;
  outputs[0].bytes = MOTION_FEATURES;
  return 0;
}

static const char* const input_names[] = {"Imu"};
static const sds_output_port output_ports[] = {{"Features", MOTION_FEATURES}};
static const sds_algorithm_table table = {
    SDS_ALGORITHM_VERSION, "motion features 1", 1, input_names, 1, output_ports, create, reset, execute, free};

const sds_algorithm_table* sds_algorithm(uint32_t host_version) {
  return host_version == SDS_ALGORITHM_VERSION ? &table : NULL;
}

/* The signals of the simulated sensors. Integer arithmetic only, so that a seed gives the same samples on every
 * machine. Four motions follow each other in stretches of 2 to 5 s. */
#ifndef SIM_SIGNALS_H
#define SIM_SIGNALS_H

#include <stdint.h>

#define SIM_IMU_AXES 6
#define SIM_IMU_RATE_HZ 1600
#define SIM_MIC_RATE_HZ 16000

enum { SIM_IDLE, SIM_WALK, SIM_SHAKE, SIM_ROTATE, SIM_MOTIONS };

typedef struct {
  uint64_t random;
  uint32_t samples_left; /* of the present motion */
  int motion;
  uint32_t phase[2];
  uint32_t phase_step[2]; /* 2^32 is one turn a sample */
  int32_t amplitude[SIM_IMU_AXES];
  int32_t gravity[3];
} sim_imu_t;

typedef struct {
  uint64_t random;
  uint32_t samples_left;
  uint32_t phase[3];
  uint32_t phase_step;
  int32_t amplitude;
} sim_mic_t;

typedef struct {
  uint64_t random;
  int32_t centi_degrees_q8;
} sim_temperature_t;

void sim_imu_init(sim_imu_t* imu, uint64_t seed);
/* Fills `frames` frames of 6 axes: acceleration (8 g / 32768 a step), then turn rate (2000 dps / 32768 a step).
 * Returns the motion of the last frame; `changed` is set if the motion changed within the block. */
int sim_imu_block(sim_imu_t* imu, int16_t* out, uint32_t frames, int* changed);

void sim_mic_init(sim_mic_t* mic, uint64_t seed);
void sim_mic_block(sim_mic_t* mic, int16_t* out, uint32_t samples);

void sim_temperature_init(sim_temperature_t* sensor, uint64_t seed);
/* Degrees Celsius, in steps of 0.01. */
float sim_temperature_next(sim_temperature_t* sensor);

#endif

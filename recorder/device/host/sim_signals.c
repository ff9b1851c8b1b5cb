#include "sim_signals.h"

/* xorshift64* (Marsaglia 2003; Vigna 2016). */
static uint32_t next_random(uint64_t* state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return (uint32_t)((x * 0x2545F4914F6CDD1Dull) >> 32);
}

static int32_t between(uint64_t* state, int32_t low, int32_t high) {
  return low + (int32_t)(next_random(state) % (uint32_t)(high - low + 1));
}

/* Nearly Gaussian noise with a standard deviation of about `sigma_q4` / 16: the sum of four uniform bytes. */
static int32_t noise(uint64_t* state, int32_t sigma_q4) {
  const uint32_t r = next_random(state);
  const int32_t sum = (int32_t)((r & 255) + (r >> 8 & 255) + (r >> 16 & 255) + (r >> 24)) - 510;
  return (sum * sigma_q4) / (148 * 16);
}

/* Sine of a 32-bit phase (2^32 is a full turn) in Q15: a parabola with one correction, within 0.1 %. */
static int32_t sine(uint32_t phase) {
  const int32_t p = (int32_t)(int16_t)(phase >> 16);
  const int32_t magnitude = p < 0 ? -p : p;
  const int32_t y = (4 * ((p * (32768 - magnitude)) / 32768));
  const int32_t y_abs = y < 0 ? -y : y;
  return y + (7373 * ((y * (y_abs / 2)) / 16384 - y)) / 32768;
}

static int16_t clip(int32_t value) { return (int16_t)(value < -32768 ? -32768 : value > 32767 ? 32767 : value); }

/* Step of a 32-bit phase for `centi_hz` / 100 Hz at `rate` samples a second. */
static uint32_t step(int32_t centi_hz, uint32_t rate) {
  return (uint32_t)(((uint64_t)(uint32_t)centi_hz << 32) / (100u * (uint64_t)rate));
}

void sim_imu_init(sim_imu_t* imu, uint64_t seed) {
  int i;
  imu->random = seed * 0x9E3779B97F4A7C15ull + 1;
  imu->samples_left = 0;
  imu->motion = SIM_IDLE;
  imu->gravity[0] = 120;
  imu->gravity[1] = -340;
  imu->gravity[2] = 4096;
  for (i = 0; i < 2; ++i) imu->phase[i] = imu->phase_step[i] = 0;
  for (i = 0; i < SIM_IMU_AXES; ++i) imu->amplitude[i] = 0;
  for (i = 0; i < 8; ++i) (void)next_random(&imu->random);
}

static void next_motion(sim_imu_t* imu) {
  /* Rows: motion; columns: smallest and largest amplitude of each axis. */
  static const int16_t ranges[SIM_MOTIONS][SIM_IMU_AXES][2] = {
      {{0, 6}, {0, 6}, {0, 6}, {0, 4}, {0, 4}, {0, 4}},
      {{300, 700}, {120, 350}, {700, 1500}, {150, 500}, {150, 400}, {80, 250}},
      {{2500, 6000}, {1200, 4500}, {600, 2500}, {700, 2500}, {700, 2500}, {500, 2000}},
      {{900, 2200}, {900, 2200}, {100, 500}, {80, 300}, {80, 300}, {2500, 6500}}};
  int i;
  imu->motion = between(&imu->random, 0, SIM_MOTIONS - 1);
  imu->samples_left = (uint32_t)between(&imu->random, 2 * SIM_IMU_RATE_HZ, 5 * SIM_IMU_RATE_HZ);
  for (i = 0; i < SIM_IMU_AXES; ++i)
    imu->amplitude[i] = between(&imu->random, ranges[imu->motion][i][0], ranges[imu->motion][i][1]);
  switch (imu->motion) {
    case SIM_WALK:
      imu->phase_step[0] = step(between(&imu->random, 150, 240), SIM_IMU_RATE_HZ);
      break;
    case SIM_SHAKE:
      imu->phase_step[0] = step(between(&imu->random, 500, 1100), SIM_IMU_RATE_HZ);
      break;
    default:
      imu->phase_step[0] = step(between(&imu->random, 30, 90), SIM_IMU_RATE_HZ);
      break;
  }
  imu->phase_step[1] = 2 * imu->phase_step[0];
}

int sim_imu_block(sim_imu_t* imu, int16_t* out, uint32_t frames, int* changed) {
  static const uint32_t lag[SIM_IMU_AXES] = {0, 0x40000000u, 0x15000000u, 0x80000000u, 0x2A000000u, 0x60000000u};
  static const int32_t sigma_q4[SIM_IMU_AXES] = {80, 80, 96, 56, 56, 64};
  uint32_t t;
  *changed = 0;
  for (t = 0; t < frames; ++t) {
    int i;
    if (imu->samples_left == 0) {
      next_motion(imu);
      *changed = 1;
    }
    --imu->samples_left;
    for (i = 0; i < SIM_IMU_AXES; ++i) {
      int32_t value = noise(&imu->random, sigma_q4[i]) + (i < 3 ? imu->gravity[i] : 15 - 8 * i);
      value += (imu->amplitude[i] * sine(imu->phase[0] + lag[i])) / 32768;
      value += (imu->amplitude[i] / 3 * sine(imu->phase[1] + 3 * lag[i])) / 32768;
      *out++ = clip(value);
    }
    imu->phase[0] += imu->phase_step[0];
    imu->phase[1] += imu->phase_step[1];
  }
  return imu->motion;
}

void sim_mic_init(sim_mic_t* mic, uint64_t seed) {
  int i;
  mic->random = seed * 0xD1342543DE82EF95ull + 3;
  mic->samples_left = 0;
  mic->phase_step = 0;
  mic->amplitude = 0;
  for (i = 0; i < 3; ++i) mic->phase[i] = 0;
  for (i = 0; i < 8; ++i) (void)next_random(&mic->random);
}

void sim_mic_block(sim_mic_t* mic, int16_t* out, uint32_t samples) {
  uint32_t t;
  for (t = 0; t < samples; ++t) {
    int i;
    int32_t value;
    if (mic->samples_left == 0) { /* a syllable or a pause */
      mic->samples_left = (uint32_t)between(&mic->random, SIM_MIC_RATE_HZ / 12, SIM_MIC_RATE_HZ / 3);
      mic->amplitude = between(&mic->random, 0, 2) == 0 ? 0 : between(&mic->random, 400, 3000);
      mic->phase_step = step(between(&mic->random, 9000, 24000), SIM_MIC_RATE_HZ);
    }
    --mic->samples_left;
    value = noise(&mic->random, 180);
    for (i = 0; i < 3; ++i) {
      value += (mic->amplitude / (i + 1) * sine(mic->phase[i])) / 32768;
      mic->phase[i] += (uint32_t)(i + 1) * mic->phase_step;
    }
    *out++ = clip(value);
  }
}

void sim_temperature_init(sim_temperature_t* sensor, uint64_t seed) {
  int i;
  sensor->random = seed * 0xA0761D6478BD642Full + 5;
  sensor->centi_degrees_q8 = 2250 * 256;
  for (i = 0; i < 8; ++i) (void)next_random(&sensor->random);
}

float sim_temperature_next(sim_temperature_t* sensor) {
  sensor->centi_degrees_q8 += noise(&sensor->random, 16 * 90);
  return (float)((sensor->centi_degrees_q8 + 128) / 256) * 0.01f;
}

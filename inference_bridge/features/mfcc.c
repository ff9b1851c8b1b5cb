#include <math.h>
#include <string.h>

#include "sds/sds_features.h"

static const double pi = 3.14159265358979323846;

enum { most_features = 1 << 23, most_samples = 1 << 24 };

static const char* problem_of(const sds_mfcc_config_t* c) {
  if (c->samples < c->mel.frame_length) return "a frame is longer than the window";
  if (c->samples > most_samples) return "a window has no more than 16777216 samples";
  if (c->frame_stride == 0) return "frames must go forward";
  if (c->coefficients > c->mel.filters) return "there are no more coefficients than filters";
  if (c->normalise != 0 && c->normalise % 2 == 0) return "the frames to normalise by must be an odd number";
  const uint64_t frames = (c->samples - c->mel.frame_length) / c->frame_stride + 1;
  if (frames * c->mel.fft_length > 4 * (uint64_t)most_features)
    return "so many frames of so long a transform are too much for a window: 33554432 is the most for their product";
  const uint64_t features = frames * (c->coefficients != 0 ? c->coefficients : c->mel.filters);
  if (features > most_features) return "a window has no more than 8388608 features";
  if (features * c->normalise > 8 * (uint64_t)most_features)
    return "so many features are not normalised by so many frames: 67108864 is the most for their product";
  return NULL;
}

size_t sds_mfcc_floats(const sds_mfcc_config_t* c) {
  const size_t mel = sds_mel_floats(&c->mel);
  if (mel == 0 || problem_of(c) != NULL) return 0;
  const size_t frames = (c->samples - c->mel.frame_length) / c->frame_stride + 1;
  return mel + c->samples + c->mel.filters + (size_t)c->coefficients * c->mel.filters +
         (c->normalise != 0 ? frames * c->coefficients : 0);
}

/* The DCT-II: of `coefficients` sums over the filters, each times sqrt(2 / filters); the first, orthonormal, times
 * sqrt(1/2). */
static void make_dct(float* table, uint32_t filters, uint32_t coefficients, int orthonormal) {
  for (uint32_t k = 0; k < coefficients; ++k) {
    const double scale = sqrt((k == 0 && orthonormal ? 1.0 : 2.0) / filters);
    for (uint32_t n = 0; n < filters; ++n) *table++ = (float)(scale * cos(pi * k * (2.0 * n + 1) / (2.0 * filters)));
  }
}

const char* sds_mfcc_init(sds_mfcc_t* mfcc, const sds_mfcc_config_t* c, float* memory, uint16_t* ranges) {
  const char* problem = problem_of(c);
  if (problem == NULL) problem = sds_mel_init(&mfcc->mel, &c->mel, memory, ranges);
  if (problem != NULL) return problem;
  const int is_tensorflow = c->mel.convention == SDS_MEL_TENSORFLOW;
  mfcc->config = *c;
  mfcc->frames = (c->samples - c->mel.frame_length) / c->frame_stride + 1;
  mfcc->features = c->coefficients != 0 ? c->coefficients : c->mel.filters;
  mfcc->emphasised = memory + sds_mel_floats(&c->mel);
  mfcc->energies = mfcc->emphasised + c->samples;
  mfcc->dct = mfcc->energies + c->mel.filters;
  mfcc->scratch = mfcc->dct + (size_t)c->coefficients * c->mel.filters;
  make_dct(mfcc->dct, c->mel.filters, c->coefficients, !is_tensorflow);
  return NULL;
}

/* 0 at the noise floor and below, 1 at 12 dB; in steps of 1/256, ties to even, no higher than 255/256. */
static float level_of(float energy, float noise_floor) {
  if (isnan(energy)) return energy;
  const double decibels = 10 * log10(energy > 1e-30f ? (double)energy : 1e-30);
  double level = (decibels - (double)noise_floor) / (12 - (double)noise_floor);
  if (!(level > 0)) level = 0;
  if (level > 1) level = 1;
  const double step = rint(level * 256);
  return (float)(step > 255 ? 255 : step) / 256;
}

static double log_of(float energy) { return log(energy == 0 ? 1e-10 : (double)energy); }

static void features_of(const sds_mfcc_t* m, const float* frame, float* features) {
  const sds_mfcc_config_t* c = &m->config;
  const int is_tensorflow = c->mel.convention == SDS_MEL_TENSORFLOW;
  const uint32_t filters = c->mel.filters;
  float* energies = c->coefficients == 0 ? features : m->energies;
  float total;
  sds_mel_energies(&m->mel, frame, energies, &total);
  for (uint32_t f = 0; f < filters; ++f) {
    if (is_tensorflow)
      energies[f] = (float)log((double)energies[f] + (double)c->log_offset);
    else if (c->coefficients == 0)
      energies[f] = level_of(energies[f], c->noise_floor);
    else
      energies[f] = (float)log_of(energies[f]);
  }
  const float* factor = m->dct;
  for (uint32_t k = 0; k < c->coefficients; ++k) {
    double sum = 0;
    for (uint32_t n = 0; n < filters; ++n) sum += (double)*factor++ * (double)energies[n];
    features[k] = (float)sum;
  }
  if (c->coefficients != 0 && !is_tensorflow) features[0] = (float)log_of(total);
}

/* Row `i` of rows that are mirrored at both ends, again and again: -1 is 0, -2 is 1. */
static size_t mirrored(int64_t i, uint32_t rows) {
  const int64_t period = 2 * (int64_t)rows;
  i %= period;
  if (i < 0) i += period;
  return (size_t)(i < (int64_t)rows ? i : period - 1 - i);
}

/* The mean of column `c` of the rows around row `r`. */
static double mean_around(const sds_mfcc_t* m, const float* rows, uint32_t r, uint32_t c) {
  const int64_t reach = m->config.normalise / 2;
  double sum = 0;
  for (int64_t i = -reach; i <= reach; ++i) sum += (double)rows[mirrored(r + i, m->frames) * m->features + c];
  return sum / m->config.normalise;
}

/* Each row less the mean of those around it; and then divided by the deviation of what that gave around it. */
static void normalise(const sds_mfcc_t* m, float* rows) {
  const int64_t reach = m->config.normalise / 2;
  for (uint32_t c = 0; c < m->features; ++c) {
    for (uint32_t r = 0; r < m->frames; ++r) {
      const size_t at = (size_t)r * m->features + c;
      m->scratch[at] = (float)((double)rows[at] - mean_around(m, rows, r, c));
    }
    for (uint32_t r = 0; r < m->frames; ++r) {
      const double mean = mean_around(m, m->scratch, r, c);
      double squares = 0;
      for (int64_t i = -reach; i <= reach; ++i) {
        const double off = (double)m->scratch[mirrored(r + i, m->frames) * m->features + c] - mean;
        squares += off * off;
      }
      const size_t at = (size_t)r * m->features + c;
      rows[at] = (float)((double)m->scratch[at] / (sqrt(squares / m->config.normalise) + 1e-10));
    }
  }
}

void sds_mfcc(const sds_mfcc_t* m, const float* samples, float* features) {
  const sds_mfcc_config_t* c = &m->config;
  if (c->mel.convention == SDS_MEL_EDGE_IMPULSE) {
    for (uint32_t i = 0; i < c->samples; ++i) m->emphasised[i] = samples[i] * c->gain;
    const float last = m->emphasised[c->samples - 1];
    for (uint32_t i = c->samples - 1; i > 0; --i) m->emphasised[i] -= c->pre_emphasis * m->emphasised[i - 1];
    m->emphasised[0] -= c->pre_emphasis * last;
    samples = m->emphasised;
  }
  for (uint32_t f = 0; f < m->frames; ++f)
    features_of(m, samples + (size_t)f * c->frame_stride, features + (size_t)f * m->features);
  if (c->normalise != 0 && c->coefficients != 0) normalise(m, features);
}

#include <float.h>
#include <math.h>
#include <string.h>

#include "sds/sds_features.h"

static double mel_of(double hertz) { return 1127.0 * log(1.0 + hertz / 700.0); }
static double hertz_of(double mel) { return 700.0 * (exp(mel / 1127.0) - 1.0); }

/* The Mel of edge `i` of the filters' edges, 0 to filters + 1, at equal distances. */
static double edge_mel(const sds_mel_config_t* c, uint32_t i) {
  const double low = mel_of(c->low), high = mel_of(c->high);
  return low + (high - low) * i / (c->filters + 1);
}

/* Whether every edge lies behind the one before it: not where they are too close for a double to tell, or infinite. */
static int has_ascending_edges(const sds_mel_config_t* c) {
  for (uint32_t i = 0; i <= c->filters; ++i)
    if (!(edge_mel(c, i) < edge_mel(c, i + 1))) return 0;
  return 1;
}

static const char* problem_of(const sds_mel_config_t* c) {
  if (sds_fft_floats(c->fft_length) == 0) return "the length of the transform must be a power of two, 4 to 32768";
  if (c->filters == 0 || c->filters > 1024) return "there must be 1 to 1024 filters";
  if (c->frame_length == 0) return "a frame must not be empty";
  if (c->convention == SDS_MEL_TENSORFLOW && c->frame_length > c->fft_length)
    return "a frame must not be longer than its transform";
  if (!(c->rate > 0) || !(c->rate <= FLT_MAX) || !(c->low >= 0) || !(c->high > c->low) || !(c->high <= c->rate / 2))
    return "the edges must be 0 or more, ascending, and no more than half of the rate";
  if (!has_ascending_edges(c)) return "the edges are too close for so many filters";
  return NULL;
}

size_t sds_mel_floats(const sds_mel_config_t* c) {
  if (problem_of(c) != NULL) return 0;
  const size_t bins = c->fft_length / 2 + 1;
  const size_t taper = c->convention == SDS_MEL_TENSORFLOW ? c->frame_length : 0;
  return sds_fft_floats(c->fft_length) + c->fft_length + 2 + taper + 2 * bins + c->filters;
}

/* tf.signal.linear_to_mel_weight_matrix: triangles over Mel, whose flanks are 1 at the middle edge and 0 at the outer
 * ones. Bin 0 is in none. */
static uint32_t triangle_over_mel(const sds_mel_config_t* c, uint32_t filter, uint16_t* range, float* weights) {
  const double left = edge_mel(c, filter), middle = edge_mel(c, filter + 1), right = edge_mel(c, filter + 2);
  uint32_t count = 0;
  for (uint32_t bin = 1; bin <= c->fft_length / 2; ++bin) {
    const double mel = mel_of((double)bin * c->rate / c->fft_length);
    const double up = (mel - left) / (middle - left), down = (right - mel) / (right - middle);
    const double weight = up < down ? up : down;
    if (!(weight > 0)) continue;
    if (count == 0) range[0] = (uint16_t)bin;
    weights[count++] = (float)weight;
  }
  return count;
}

/* SpeechPy, as Edge Impulse has changed it: the edges rounded down to bins, between which the flanks are straight. */
static uint32_t edge_bin(const sds_mel_config_t* c, uint32_t i) {
  double hertz = hertz_of(edge_mel(c, i));
  if (i == c->filters + 1) hertz -= 0.001;
  const double bin = floor((c->fft_length + 1.0) * hertz / c->rate);
  return bin > 0 ? (uint32_t)bin : 0;
}

static uint32_t triangle_over_bins(const sds_mel_config_t* c, uint32_t filter, uint16_t* range, float* weights) {
  const uint32_t left = edge_bin(c, filter), middle = edge_bin(c, filter + 1);
  uint32_t right = edge_bin(c, filter + 2);
  if (right < middle) right = middle;                       /* the last edge, which is lowered */
  const uint32_t begin = left < middle ? left + 1 : middle; /* where there is no rising flank, the top is the first */
  const uint32_t end = middle < right ? right : middle + 1;
  if (left == right) return 0;
  range[0] = (uint16_t)begin;
  for (uint32_t bin = begin; bin < end; ++bin)
    weights[bin - begin] = bin <= middle && left < middle ? (float)(bin - left) / (float)(middle - left)
                                                          : (float)(right - bin) / (float)(right - middle);
  return end - begin;
}

const char* sds_mel_init(sds_mel_t* mel, const sds_mel_config_t* c, float* memory, uint16_t* ranges) {
  const char* problem = problem_of(c);
  if (problem != NULL) return problem;
  sds_fft_init(&mel->fft, c->fft_length, memory);
  mel->config = *c;
  mel->spectrum = memory + sds_fft_floats(c->fft_length);
  mel->taper = mel->spectrum + c->fft_length + 2;
  mel->weights = mel->taper;
  mel->ranges = ranges;
  if (c->convention == SDS_MEL_TENSORFLOW) {
    sds_taper(SDS_TAPER_HANN, c->frame_length, mel->taper);
    mel->weights += c->frame_length;
  }
  float* weights = mel->weights;
  for (uint32_t f = 0; f < c->filters; ++f) {
    const uint32_t count = c->convention == SDS_MEL_TENSORFLOW ? triangle_over_mel(c, f, ranges + 2 * f, weights)
                                                               : triangle_over_bins(c, f, ranges + 2 * f, weights);
    if (count == 0 && c->convention == SDS_MEL_EDGE_IMPULSE)
      return "a filter has no bin of the spectrum: fewer filters or a longer transform are needed";
    if (count == 0) ranges[2 * f] = 0;
    ranges[2 * f + 1] = (uint16_t)count;
    weights += count;
  }
  return NULL;
}

void sds_mel_energies(const sds_mel_t* mel, const float* frame, float* energies, float* total) {
  const sds_mel_config_t* c = &mel->config;
  const uint32_t length = c->fft_length;
  const uint32_t bins = length / 2 + 1;
  const uint32_t taken = c->frame_length < length ? c->frame_length : length;
  float* s = mel->spectrum;
  memcpy(s, frame, taken * sizeof(float));
  if (c->convention == SDS_MEL_TENSORFLOW)
    for (uint32_t i = 0; i < taken; ++i) s[i] *= mel->taper[i];
  memset(s + taken, 0, (length - taken) * sizeof(float));
  sds_fft_forward(&mel->fft, s);
  double sum = 0;
  for (uint32_t k = 0; k < bins; ++k) {
    const float power = s[2 * k] * s[2 * k] + s[2 * k + 1] * s[2 * k + 1];
    s[k] = c->convention == SDS_MEL_TENSORFLOW ? sqrtf(power) : power / (float)length;
    sum += s[k];
  }
  if (total != NULL) *total = (float)sum;
  const float* weights = mel->weights;
  for (uint32_t f = 0; f < c->filters; ++f) {
    const float* bin = s + mel->ranges[2 * f];
    float energy = 0;
    for (uint32_t k = 0; k < mel->ranges[2 * f + 1]; ++k) energy += *weights++ * bin[k];
    energies[f] = energy;
  }
}

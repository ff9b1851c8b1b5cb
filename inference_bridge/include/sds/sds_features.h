/**
 * Features of sensor and audio data, as the pipeline's stages fft, mfe, mfcc, filter and features compute them: plain
 * C99, no allocation, nothing but the C library's mathematics; in single precision, filters in double. What runs in
 * `sds replay` runs on a target. docs/features.md has the formulas.
 *
 * Whoever calls gives the memory: `..._floats()` says how much, `..._init()` fills it with tables, and it must live as
 * long as what was made with it. What was made is not shared between threads.
 */
#ifndef SDS_FEATURES_H
#define SDS_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- The discrete Fourier transform of real values --------------------------------------------------------------- */

enum { SDS_FFT_MIN = 4, SDS_FFT_MAX = 32768 };

typedef struct {
  uint32_t length;
  const float* roots; /* exp(-2 pi i k / length), k < length/2, real and imaginary parts in turn */
} sds_fft_t;

/** Floats of memory for a transform of `length` values: a power of two from SDS_FFT_MIN to SDS_FFT_MAX; else 0. */
size_t sds_fft_floats(uint32_t length);
/** 0, or -1 where there is no transform of this length. */
int32_t sds_fft_init(sds_fft_t* fft, uint32_t length, float* memory);
/** Takes `length` values and leaves the spectrum's length/2 + 1 bins in their place, real and imaginary parts in turn:
 * room for length + 2 floats. Not scaled. */
void sds_fft_forward(const sds_fft_t* fft, float* values);

/** What a frame is multiplied by before its transform. Hann and Hamming are periodic, as in TensorFlow's signal. */
typedef enum { SDS_TAPER_NONE, SDS_TAPER_HANN, SDS_TAPER_HAMMING } sds_taper_t;
void sds_taper(sds_taper_t taper, uint32_t length, float* factors);

/* -- Mel filter banks -------------------------------------------------------------------------------------------- */

/** Whose definition is followed, step by step: TensorFlow's tf.signal, or Edge Impulse's MFE and MFCC blocks,
 * version 4. */
typedef enum { SDS_MEL_TENSORFLOW, SDS_MEL_EDGE_IMPULSE } sds_mel_convention_t;

typedef struct {
  sds_mel_convention_t convention;
  float rate;            /* samples a second */
  uint32_t frame_length; /* samples of a frame; Edge Impulse's may be longer than the transform, which then takes its
                            begin */
  uint32_t fft_length;
  uint32_t filters;
  float low, high; /* Hz: the outer edges of the first and the last filter */
} sds_mel_config_t;

typedef struct {
  sds_mel_config_t config;
  sds_fft_t fft;
  float* taper;
  float* spectrum;
  float* weights;   /* of each filter's bins, one filter behind the other */
  uint16_t* ranges; /* of each filter: the first of its bins, and how many they are */
} sds_mel_t;

/** Floats of memory; 0 where sds_mel_init() would fail for anything but an empty filter. */
size_t sds_mel_floats(const sds_mel_config_t* config);
/** Wants sds_mel_floats() floats and 2 * filters ranges. NULL, or what is wrong. */
const char* sds_mel_init(sds_mel_t* mel, const sds_mel_config_t* config, float* memory, uint16_t* ranges);
/** What the filters let through of a frame, and (Edge Impulse; may be NULL) the power of the whole spectrum. */
void sds_mel_energies(const sds_mel_t* mel, const float* frame, float* energies, float* total);

/* -- Features of a window of sound -------------------------------------------------------------------------------- */

typedef struct {
  sds_mel_config_t mel;
  uint32_t samples;      /* of a window */
  uint32_t frame_stride; /* samples from one frame's begin to the next one's */
  uint32_t coefficients; /* MFCC: of the cepstrum, no more than filters; 0: MFE, the filters' logarithms */
  float log_offset;      /* TensorFlow: added before the logarithm */
  float noise_floor;     /* Edge Impulse, MFE: decibels below 0 */
  float gain;            /* Edge Impulse: of the samples, before all else; 1/32768 in its MFE, 1 in its MFCC */
  float pre_emphasis;    /* Edge Impulse: x[n] - this * x[n - 1]; before the window's first sample stands its last */
  uint32_t normalise; /* Edge Impulse, MFCC: frames (odd) whose mean and deviation each coefficient is set against; 0:
                         none */
} sds_mfcc_config_t;

typedef struct {
  sds_mfcc_config_t config;
  sds_mel_t mel;
  uint32_t frames;   /* of a window */
  uint32_t features; /* of a frame */
  float* emphasised; /* the window */
  float* energies;   /* of a frame */
  float* dct;
  float* scratch;
} sds_mfcc_t;

/** Floats of memory; 0 where sds_mfcc_init() would fail for anything but an empty filter. */
size_t sds_mfcc_floats(const sds_mfcc_config_t* config);
/** Wants sds_mfcc_floats() floats and 2 * filters ranges. NULL, or what is wrong. */
const char* sds_mfcc_init(sds_mfcc_t* mfcc, const sds_mfcc_config_t* config, float* memory, uint16_t* ranges);
/** Of a window of `samples`: `frames` times `features` floats, one frame behind the other. */
void sds_mfcc(const sds_mfcc_t* mfcc, const float* samples, float* features);

/* -- Filters ----------------------------------------------------------------------------------------------------- */

/** A section of second order: y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2]. In double precision: in
 *  single precision a low cutoff is another one, or none. A target without a unit for doubles takes whole numbers. */
typedef struct {
  double b0, b1, b2, a1, a2;
} sds_biquad_t;
typedef struct {
  double s1, s2; /* transposed direct form II; all zero at the beginning */
} sds_biquad_state_t;

double sds_biquad(const sds_biquad_t* section, sds_biquad_state_t* state, double value);
/** Whether what comes out of it dies away: both poles lie within the unit circle. */
int32_t sds_biquad_is_stable(const sds_biquad_t* section);
/** The gain at `phase`, 2 pi frequency / rate. */
double sds_biquad_gain(const sds_biquad_t* section, double phase);

/** The same with whole numbers: coefficients times 2^29 (each within -4 and 4), and the rest of each rounding carried
 * into the next value. Values beyond 2^28 are clipped. */
typedef struct {
  int32_t b0, b1, b2, a1, a2;
} sds_biquad_q29_t;
typedef struct {
  int32_t x1, x2, y1, y2, rest;
} sds_biquad_q29_state_t;

int32_t sds_biquad_q29(const sds_biquad_q29_t* section, sds_biquad_q29_state_t* state, int32_t value);
/** The nearest coefficients; -1 where one is not within -4 and 4. */
int32_t sds_biquad_to_q29(const sds_biquad_t* section, sds_biquad_q29_t* fixed);
/** What they are. */
void sds_biquad_of_q29(const sds_biquad_q29_t* fixed, sds_biquad_t* section);

enum { SDS_FILTER_MAX = 64 };
/** How far the rounding of values in all sections (1 to SDS_FILTER_MAX) can carry what comes out of the last one at
 * most, in units of the last place: a bound, which is infinite where a section is not stable. For the host: some 12 KiB
 * of stack. */
double sds_filter_q29_noise(const sds_biquad_q29_t* sections, uint32_t count);
/** How far the gains of two filters of as many sections lie apart at most, as a share of the largest of the first. */
double sds_filter_error(const sds_biquad_t* filter, const sds_biquad_t* other, uint32_t count);

typedef enum { SDS_LOWPASS, SDS_HIGHPASS } sds_pass_t;
enum { SDS_BUTTERWORTH_MAX = 8 };
/** Butterworth's filter of an order of 1 to SDS_BUTTERWORTH_MAX by the bilinear transform: (order + 1) / 2 sections.
 * Returns how many, or 0 where there is none: `cutoff` (Hz) must lie between 0 and half of `rate`. */
uint32_t sds_butterworth(sds_pass_t pass, uint32_t order, double cutoff, double rate, sds_biquad_t* sections);
/** Whether sections are still that filter, whose coefficients are rounded: stable, within 1 % of full gain where all is
 * let through and within 0.01 of sqrt(1/2) at the cutoff. */
int32_t sds_filter_is_exact(const sds_biquad_t* sections, uint32_t count, sds_pass_t pass, double cutoff, double rate);

/* -- Statistics of a window -------------------------------------------------------------------------------------- */

typedef struct {
  float mean, min, max, rms;
  float stdev; /* of the whole: divided by the count */
  float skewness,
      kurtosis; /* moments by the standard deviation; kurtosis is 0 for a normal distribution. 0 without spread */
  float zero_crossings; /* how often a value below 0 follows one that is not, or the other way round */
} sds_statistics_t;

/** Of `count` values, at least one; each `stride` floats behind the one before. Sums are in double precision. Where one
 * of them is NaN, so is everything. */
void sds_statistics(const float* values, size_t count, size_t stride, sds_statistics_t* result);

#ifdef __cplusplus
}
#endif

#endif

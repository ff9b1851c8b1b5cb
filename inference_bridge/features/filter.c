#include <math.h>
#include <string.h>

#include "sds/sds_features.h"

static const double pi = 3.14159265358979323846;

double sds_biquad(const sds_biquad_t* b, sds_biquad_state_t* state, double value) {
  const double out = b->b0 * value + state->s1;
  state->s1 = b->b1 * value - b->a1 * out + state->s2;
  state->s2 = b->b2 * value - b->a2 * out;
  return out;
}

static int32_t clipped(int64_t value) {
  const int64_t most = (int64_t)1 << 28; /* five products of it stay within 64 bits */
  return (int32_t)(value > most ? most : value < -most ? -most : value);
}

int32_t sds_biquad_q29(const sds_biquad_q29_t* b, sds_biquad_q29_state_t* s, int32_t value) {
  value = clipped(value);
  const int64_t sum = (int64_t)b->b0 * value + (int64_t)b->b1 * s->x1 + (int64_t)b->b2 * s->x2 -
                      (int64_t)b->a1 * s->y1 - (int64_t)b->a2 * s->y2 + s->rest;
  const int64_t one = (int64_t)1 << 29;
  int64_t whole = sum / one;
  if (sum % one < 0) --whole; /* down: what is left, which is carried on, must not have the sign of the signal */
  s->rest = (int32_t)(sum - whole * one);
  s->x2 = s->x1;
  s->x1 = value;
  s->y2 = s->y1;
  s->y1 = clipped(whole);
  return s->y1;
}

static int in_q29(double coefficient, int32_t* fixed) {
  if (!(coefficient > -4 && coefficient < 4)) return 0;
  *fixed = (int32_t)lround(coefficient * (1 << 29) < 2147483647.0 ? coefficient * (1 << 29) : 2147483647.0);
  return 1;
}

int32_t sds_biquad_to_q29(const sds_biquad_t* section, sds_biquad_q29_t* fixed) {
  return in_q29(section->b0, &fixed->b0) && in_q29(section->b1, &fixed->b1) && in_q29(section->b2, &fixed->b2) &&
                 in_q29(section->a1, &fixed->a1) && in_q29(section->a2, &fixed->a2)
             ? 0
             : -1;
}

void sds_biquad_of_q29(const sds_biquad_q29_t* fixed, sds_biquad_t* section) {
  const double one = 1 << 29;
  section->b0 = fixed->b0 / one;
  section->b1 = fixed->b1 / one;
  section->b2 = fixed->b2 / one;
  section->a1 = fixed->a1 / one;
  section->a2 = fixed->a2 / one;
}

int32_t sds_biquad_is_stable(const sds_biquad_t* b) { return fabs(b->a2) < 1 && fabs(b->a1) < 1 + b->a2; }

/* Where z is nearer to -1: what z is to 1 there. */
static sds_biquad_t mirrored(const sds_biquad_t* b) {
  const sds_biquad_t other = {b->b0, -b->b1, b->b2, -b->a1, b->a2};
  return other;
}

/* Numerator and denominator at z = exp(i phase), taken about z = 1, where low frequencies' sums would cancel. */
static double gain_about_1(const sds_biquad_t* b, double phase) {
  const double u = 2 * sin(phase / 2) * sin(phase / 2); /* 1 - cos */
  const double c1 = -u, s1 = -sin(phase);
  const double c2 = -2 * sin(phase) * sin(phase), s2 = -sin(2 * phase); /* cos(2 phase) - 1 */
  const double above_re = (b->b0 + b->b1 + b->b2) + b->b1 * c1 + b->b2 * c2, above_im = b->b1 * s1 + b->b2 * s2;
  const double below_re = (1 + b->a1 + b->a2) + b->a1 * c1 + b->a2 * c2, below_im = b->a1 * s1 + b->a2 * s2;
  return sqrt((above_re * above_re + above_im * above_im) / (below_re * below_re + below_im * below_im));
}

double sds_biquad_gain(const sds_biquad_t* b, double phase) {
  if (phase <= pi / 2) return gain_about_1(b, phase);
  const sds_biquad_t about_1 = mirrored(b);
  return gain_about_1(&about_1, pi - phase);
}

/* The poles of a section that is stable: how far each is from the unit circle, and at which phase. Of a pair of complex
 * ones the upper one, twice. Taken about z = 1 (or -1), near which small differences count. */
typedef struct {
  double re, im, gap, phase;
} pole_t;

static void poles_of(const sds_biquad_t* b, pole_t* poles) {
  const double sign = b->a1 > 0 ? -1 : 1;
  const double a1 = -fabs(b->a1);
  const double half = (2 + a1) / 2, product = 1 + a1 + b->a2; /* of the poles' distances from 1: their mean, product */
  const double square = half * half - product;
  if (square < 0) {
    const double im = sqrt(-square), gap = (1 - b->a2) / (1 + sqrt(b->a2));
    const pole_t pole = {sign * (1 - half), im, gap, atan2(im, sign * (1 - half))};
    poles[0] = poles[1] = pole;
    return;
  }
  const double far = half + sqrt(square), near = product / far;
  const pole_t first = {sign * (1 - near), 0, near, sign > 0 ? 0 : pi};
  const pole_t second = {sign * (1 - far), 0, far > 1 ? 2 - far : far, (far > 1) == (sign > 0) ? pi : 0};
  poles[0] = first;
  poles[1] = second;
}

/* The analogue filter's poles lie on a half circle; each pair gives a section s^2 + q s + 1, and s becomes
 * (1 - 1/z) / (1 + 1/z) / tan(pi cutoff / rate). */
uint32_t sds_butterworth(sds_pass_t pass, uint32_t order, double cutoff, double rate, sds_biquad_t* sections) {
  if (order < 1 || order > SDS_BUTTERWORTH_MAX || !(cutoff > 0) || !(cutoff < rate / 2)) return 0;
  const double k = tan(pi * cutoff / rate);
  uint32_t count = 0;
  if (order % 2 == 1) { /* the pole at -1 */
    const double norm = 1 / (1 + k);
    const double b0 = pass == SDS_LOWPASS ? k * norm : norm;
    const sds_biquad_t section = {b0, pass == SDS_LOWPASS ? b0 : -b0, 0, (k - 1) * norm, 0};
    sections[count++] = section;
  }
  for (uint32_t pair = 0; pair < order / 2; ++pair) {
    const double q = 2 * sin(pi * (2.0 * pair + 1) / (2.0 * order));
    const double norm = 1 / (1 + q * k + k * k);
    const double b0 = pass == SDS_LOWPASS ? k * k * norm : norm;
    const sds_biquad_t section = {b0, pass == SDS_LOWPASS ? 2 * b0 : -2 * b0, b0, 2 * (k * k - 1) * norm,
                                  (1 - q * k + k * k) * norm};
    sections[count++] = section;
  }
  return count;
}

/* The largest gain of a filter so far, and the largest difference from another one's. */
typedef struct {
  const sds_biquad_t *filter, *other;
  uint32_t count;
  double largest, difference;
} comparison_t;

static void compare_at(comparison_t* c, double phase) {
  if (!(phase >= 0 && phase <= pi)) return;
  double gain = 1, other_gain = 1;
  for (uint32_t s = 0; s < c->count; ++s) {
    gain *= sds_biquad_gain(&c->filter[s], phase);
    other_gain *= sds_biquad_gain(&c->other[s], phase);
  }
  if (gain > c->largest) c->largest = gain;
  if (!(fabs(gain - other_gain) <= c->difference)) c->difference = fabs(gain - other_gain);
}

/* A pole makes a peak as wide as its distance from the unit circle: in it, and on its slopes. */
static void compare_near_poles(comparison_t* c, const sds_biquad_t* section) {
  if (!sds_biquad_is_stable(section)) return;
  pole_t poles[2];
  poles_of(section, poles);
  for (int i = 0; i < 2; ++i) {
    compare_at(c, poles[i].phase);
    for (double away = poles[i].gap / 8; away < pi; away *= 1.5) {
      compare_at(c, poles[i].phase - away);
      compare_at(c, poles[i].phase + away);
    }
    if (poles[i].im != 0) break;
  }
}

double sds_filter_error(const sds_biquad_t* filter, const sds_biquad_t* other, uint32_t count) {
  enum { steps = 600 };
  comparison_t c = {filter, other, count, 0, 0};
  compare_at(&c, 0);
  for (int i = 0; i <= steps; ++i) compare_at(&c, pi * pow(10, -6.0 * (steps - i) / steps));
  for (uint32_t s = 0; s < count; ++s) {
    compare_near_poles(&c, &filter[s]);
    compare_near_poles(&c, &other[s]);
  }
  return c.difference == 0 ? 0 : c.difference / c.largest;
}

/* The sum of the sizes of what still comes out of a section into which nothing more goes, at most: with poles p and q
 * that is s1 / (1 - p/z) + (s2 + s1 q)/z / ((1 - p/z) (1 - q/z)), or the other way round. */
static double size_of_rest(const pole_t* poles, const sds_biquad_state_t* state) {
  double least = INFINITY;
  for (int i = 0; i < 2; ++i) {
    const pole_t p = poles[i], q = poles[1 - i];
    const double size =
        fabs(state->s1) / p.gap + hypot(state->s2 + state->s1 * q.re, state->s1 * q.im) / (p.gap * q.gap);
    if (size < least) least = size;
  }
  return least;
}

/* One section of a filter: with it as it is (0), and with that through which what it rounds gets to what it gives (1):
 * (1 - 1/z) / (1 + a1/z + a2/z^2), for what is rounded off is carried into the next sum. */
typedef struct {
  sds_biquad_t part[2];
  sds_biquad_state_t state[2];
  double response[2]; /* the sum of the sizes of the response to an impulse, at most */
  pole_t poles[2];
} noisy_t;

/* Denormals are slow, and count for nothing. */
static double noisy_step(noisy_t* section, int part, double value) {
  sds_biquad_state_t* state = &section->state[part];
  const double out = sds_biquad(&section->part[part], state, value);
  if (fabs(state->s1) < 1e-100) state->s1 = 0;
  if (fabs(state->s2) < 1e-100) state->s2 = 0;
  return out;
}

static int noisy_of(const sds_biquad_q29_t* fixed, noisy_t* noisy) {
  memset(noisy, 0, sizeof *noisy);
  sds_biquad_of_q29(fixed, &noisy->part[0]);
  if (!sds_biquad_is_stable(&noisy->part[0])) return 0;
  poles_of(&noisy->part[0], noisy->poles);
  const sds_biquad_t rounding = {1, -1, 0, noisy->part[0].a1, noisy->part[0].a2};
  noisy->part[1] = rounding;
  for (int i = 0; i < 2; ++i) {
    sds_biquad_state_t state = {0, 0};
    noisy->response[i] = fabs(sds_biquad(&noisy->part[i], &state, 1));
    noisy->response[i] += size_of_rest(noisy->poles, &state);
  }
  return 1;
}

static double rest_of(const noisy_t* section, int part, double coming) {
  return size_of_rest(section->poles, &section->state[part]) + (coming > 0 ? coming * section->response[part] : 0);
}

/* The order of sections makes no difference to a response: an impulse goes through them from the last to the first, and
 * in front of each through what that one does to what it rounds. */
static double noise_of(noisy_t* sections, uint32_t count) {
  enum { most = 1 << 24 };
  double size = 0, rest = INFINITY;
  for (uint32_t n = 0; n < most / count && !(rest <= size / 1000); ++n) {
    double value = n == 0 ? 1 : 0;
    for (uint32_t s = count; s-- > 0;) {
      size += fabs(noisy_step(&sections[s], 1, value));
      value = noisy_step(&sections[s], 0, value);
    }
    if (n % 64 != 63) continue;
    rest = 0;
    double coming = 0; /* from the later sections */
    for (uint32_t s = count; s-- > 0;) {
      rest += rest_of(&sections[s], 1, coming);
      coming = rest_of(&sections[s], 0, coming);
    }
  }
  return (size + rest) / 2; /* what is rounded off lies between 0 and 1, and no constant gets through */
}

double sds_filter_q29_noise(const sds_biquad_q29_t* sections, uint32_t count) {
  noisy_t noisy[SDS_FILTER_MAX];
  if (count < 1 || count > SDS_FILTER_MAX) return INFINITY;
  for (uint32_t s = 0; s < count; ++s)
    if (!noisy_of(&sections[s], &noisy[s])) return INFINITY;
  return noise_of(noisy, count);
}

int32_t sds_filter_is_exact(const sds_biquad_t* sections, uint32_t count, sds_pass_t pass, double cutoff, double rate) {
  double at_cutoff = 1, where_all_passes = 1;
  for (uint32_t i = 0; i < count; ++i) {
    if (!sds_biquad_is_stable(&sections[i])) return 0;
    at_cutoff *= sds_biquad_gain(&sections[i], 2 * pi * cutoff / rate);
    where_all_passes *= sds_biquad_gain(&sections[i], pass == SDS_LOWPASS ? 0 : pi);
  }
  return fabs(where_all_passes - 1) < 0.01 && fabs(at_cutoff - sqrt(0.5)) < 0.01;
}

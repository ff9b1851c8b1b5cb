#include <math.h>

#include "sds/sds_features.h"

void sds_statistics(const float* values, size_t count, size_t stride, sds_statistics_t* result) {
  double sum = 0, squares = 0;
  float min = values[0], max = values[0];
  size_t crossings = 0;
  int has_nan = 0;
  for (size_t i = 0; i < count; ++i) {
    const float value = values[i * stride];
    has_nan = has_nan || isnan(value);
    sum += (double)value;
    squares += (double)value * (double)value;
    if (value < min) min = value;
    if (value > max) max = value;
    if (i > 0 && (value < 0) != (values[(i - 1) * stride] < 0)) ++crossings;
  }
  const double n = (double)count;
  const double mean = sum / n;
  double second = 0, third = 0, fourth = 0;
  for (size_t i = 0; i < count; ++i) {
    const double off = (double)values[i * stride] - mean;
    second += off * off;
    third += off * off * off;
    fourth += off * off * off * off;
  }
  second /= n;
  const int is_flat = second == 0;
  result->mean = (float)mean;
  result->min = has_nan ? NAN : min;
  result->max = has_nan ? NAN : max;
  result->rms = (float)sqrt(squares / n);
  result->stdev = (float)sqrt(second);
  result->skewness = is_flat ? 0 : (float)(third / n / (second * sqrt(second)));
  result->kurtosis = is_flat ? 0 : (float)(fourth / n / (second * second) - 3);
  result->zero_crossings = has_nan ? NAN : (float)crossings;
}

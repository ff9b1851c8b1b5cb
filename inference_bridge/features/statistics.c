#include <math.h>

#include "sds/sds_features.h"

void sds_statistics(const float* values, size_t count, size_t stride, sds_statistics_t* result) {
  double sum = 0, squares = 0;
  float min = values[0], max = values[0];
  size_t crossings = 0;
  for (size_t i = 0; i < count; ++i) {
    const float value = values[i * stride];
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
  const int has_spread = second > 0;
  result->mean = (float)mean;
  result->min = min;
  result->max = max;
  result->rms = (float)sqrt(squares / n);
  result->stdev = (float)sqrt(second);
  result->skewness = has_spread ? (float)(third / n / (second * sqrt(second))) : 0;
  result->kurtosis = has_spread ? (float)(fourth / n / (second * second) - 3) : 0;
  result->zero_crossings = (float)crossings;
}

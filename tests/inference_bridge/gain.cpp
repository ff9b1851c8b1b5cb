// An algorithm in C++ whose factor is a variable of a template, as libraries of headers have them.
#include <cstdint>
#include <cstring>

#include "algorithm.h"

template <class T>
struct SharedGain {
  static T value;
};
template <class T>
T SharedGain<T>::value = GAIN;

std::int32_t InitAlgorithm() { return 0; }
void ResetAlgorithm() {}
std::int32_t ExecuteAlgorithm(std::uint8_t* in, std::uint32_t in_bytes, std::uint8_t* out, std::uint32_t out_bytes) {
  const std::uint32_t product = SharedGain<std::uint32_t>::value * (in_bytes > 0 ? in[0] : 1);
  std::memset(out, 0, out_bytes);
  std::memcpy(out, &product, out_bytes < sizeof product ? out_bytes : sizeof product);
  return 0;
}

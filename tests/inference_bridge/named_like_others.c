/* A good algorithm whose variables and functions have names that the C library has, too. The output is 5 bytes: a
 * variable, an element of an array, what a function gives, an element that it has written, and what a pointer leads to.
 */
#include "algorithm.h"

extern int optind, daylight;
int daylight = 42;
float signal[16] = {1, 2, 3, 4};
static float* third = &signal[2];
int optind = 77;
int32_t getopt(uint8_t value);
int32_t getopt(uint8_t value) { return value + 1; }

int32_t InitAlgorithm(void) { return 0; }
void ResetAlgorithm(void) {}

int32_t ExecuteAlgorithm(uint8_t* in_buf, uint32_t in_num, uint8_t* out_buf, uint32_t out_num) {
  if (in_num == 0 || out_num != 5) return -1;
  signal[5] = (float)in_buf[0];
  out_buf[0] = (uint8_t)(daylight + optind);
  out_buf[1] = (uint8_t)signal[1];
  out_buf[2] = (uint8_t)getopt(in_buf[0]);
  out_buf[3] = (uint8_t)signal[5];
  out_buf[4] = (uint8_t)*third;
  return 0;
}

/* A good algorithm whose variables and functions have names that the C library has, too. The output is 9 bytes: a
 * variable, an element of an array, what a function gives, an element that it has written, what a pointer leads to, a
 * weak variable, a variable of a thread, what a function that is chosen when it is loaded gives, and a variable of a
 * library that it brings along. */
#include "algorithm.h"

extern int optind, daylight, opterr;
extern __thread int optopt;
int daylight = 42;
float signal[16] = {1, 2, 3, 4};
static float* third = &signal[2];
int optind = 77;
int32_t getopt(uint8_t value);
int32_t getopt(uint8_t value) { return value + 1; }

__attribute__((weak)) int opterr = 66;
__thread int optopt = 55;
static int32_t chosen(void) { return 44; }
static int32_t (*choose(void))(void) { return chosen; }
int32_t getchar(void) __attribute__((ifunc("choose")));
int32_t brought_along(void);

int32_t InitAlgorithm(void) { return 0; }
void ResetAlgorithm(void) {}

int32_t ExecuteAlgorithm(uint8_t* in_buf, uint32_t in_num, uint8_t* out_buf, uint32_t out_num) {
  if (in_num == 0 || out_num != 9) return -1;
  signal[5] = (float)in_buf[0];
  out_buf[0] = (uint8_t)(daylight + optind);
  out_buf[1] = (uint8_t)signal[1];
  out_buf[2] = (uint8_t)getopt(in_buf[0]);
  out_buf[3] = (uint8_t)signal[5];
  out_buf[4] = (uint8_t)*third;
  out_buf[5] = (uint8_t)opterr;
  out_buf[6] = (uint8_t)optopt;
  out_buf[7] = (uint8_t)getchar();
  out_buf[8] = (uint8_t)brought_along();
  return 0;
}

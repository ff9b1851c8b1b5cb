/* A library that an algorithm is linked with: a number from the clock, taken once in a process. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <time.h>

uint32_t seed_of_process(void);

static uint32_t seed;

__attribute__((constructor)) static void take_seed(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  seed = (uint32_t)now.tv_nsec;
}

uint32_t seed_of_process(void) { return seed; }

/* Algorithms that misbehave in one way each, chosen by a macro; and a good one behind it all: the output is the sum of
 * the input's bytes so far in this run. */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "algorithm.h"

static uint32_t sum;

#ifdef CRASHES_LOADING
__attribute__((constructor)) static void crash(void) { abort(); }
#endif

#ifdef PRINTS_ON
__attribute__((destructor)) static void print_last(void) { printf("the library ends\n"); }
#endif

#if defined(PRINTS_ON) || defined(ENDS_THREAD_LATER) || defined(TAKES_FILES)
#define LEAVES_THREAD 1
#endif

#ifdef LEAVES_THREAD
static void* go_on(void* unused) {
#ifdef ENDS_THREAD_LATER
  usleep(1000000);
  return unused;
#endif
  for (;;) {
    usleep(300);
#ifdef PRINTS_ON
    printf("the thread goes on\n");
    fflush(stdout);
#endif
  }
  return unused;
}
#endif

#ifdef NEEDS_SEED
uint32_t seed_of_process(void);
#endif

int32_t InitAlgorithm(void) {
#ifdef INIT_FAILS
  return -7;
#endif
#ifdef PRINTS
  printf("hello from InitAlgorithm\n");
#endif
#ifdef LEAVES_THREAD
  {
    pthread_t thread;
    if (pthread_create(&thread, NULL, go_on, NULL) != 0 || pthread_detach(thread) != 0) return -1;
  }
#endif
  return 0;
}

#ifndef NO_FUNCTION
void ResetAlgorithm(void) {
#ifndef KEEPS_STATE
  sum = 0;
#endif
}
#endif

int32_t ExecuteAlgorithm(uint8_t* in_buf, uint32_t in_num, uint8_t* out_buf, uint32_t out_num) {
  uint32_t i;
  uint32_t last = in_num;
#ifdef OVER_READ
  if (in_buf[0] == '3') last = in_num + 2;
#endif
  for (i = 0; i < last; ++i) sum += ((volatile uint8_t*)in_buf)[i];
#ifdef RETURNS_ERROR
  if (in_buf[0] == '3') return -1;
#endif
#ifdef TAKES_FILES
  while (open("/dev/null", O_RDONLY) >= 0) {
  }
#endif
#ifdef NEEDS_SEED
  sum += seed_of_process();
#endif
#ifdef ABORTS
  if (in_buf[0] == '3') abort();
#endif
#ifdef EXITS
  if (in_buf[0] == '3') exit(5);
#endif
#ifdef HANGS
  while (in_buf[0] == '3') usleep(1000);
#endif
#ifdef ALLOCATES
  while (in_buf[0] == '3') {
    void* more = malloc(1 << 20);
    if (more == NULL) return -12;
    memset(more, 1, 1 << 20);
  }
#endif
#ifdef UNINITIALISED
  {
    /* What an earlier owner of the memory left there. */
    volatile uint8_t* fresh = malloc(1000);
    sum += fresh[500];
    free((void*)fresh);
  }
#endif
#ifdef READS_CLOCK
  {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    sum += (uint32_t)now.tv_nsec;
  }
#endif
#ifdef OVER_WRITE
  if (in_buf[0] == '3') ((volatile uint8_t*)out_buf)[out_num] = 1;
#endif
  for (i = 0; i < out_num; ++i) out_buf[i] = (uint8_t)(sum >> (8 * (i % 4)));
  return 0;
}

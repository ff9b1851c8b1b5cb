/* An algorithm that misbehaves in the way, and at the block, that its configuration names: "crash@37" crashes on the
 * block of number 37, counted from 0 since the reset. Each output is that number, and the sum of the block's bytes. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sds/sds_algorithm.h"

/* The C library has such a name, too: what it does is found all the same. */
extern int daylight;
int daylight;

static char way[32];
static unsigned bad_block;
static unsigned number;
static jmp_buf place;
static volatile int zero;
static volatile unsigned char* volatile nowhere;

static void hang(void) {
  for (;;) pause();
}

static void spin(void) {
  volatile int turning = 1;
  while (turning) {
  }
}

static void ignore_signals(void) {
  int i;
  for (i = 1; i < 65; ++i) signal(i, SIG_IGN);
}

static int overflow_stack(int depth) {
  volatile char frame[4096];
  frame[0] = (char)depth;
  return overflow_stack(depth + 1) + frame[0];
}

static void* thread_that_crashes(void* unused) {
  *nowhere = 1;
  return unused;
}

static void* thread_that_goes_on(void* unused) {
  spin();
  return unused;
}

/* Fills what it finds of sdskit's shared memory with this byte: the first page, where the records are. */
static void write_over_records(int byte) {
  char line[512];
  FILE* maps = fopen("/proc/self/maps", "r");
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    unsigned long begin = 0;
    if (strstr(line, "sds-algorithm") == NULL || strstr(line, "rw-s") == NULL) continue;
    sscanf(line, "%lx", &begin);
    memset((void*)begin, byte, 4096);
    break;
  }
  if (maps != NULL) fclose(maps);
}

static sigjmp_buf recovery;

static void recover(int number) {
  (void)number;
  siglongjmp(recovery, 1);
}

/* As the kernel takes it: where there is no flag for it, the kernel calls no function to return. */
static void set_handler_by_system_call(void) {
  struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
  } action = {recover, 0x04000000 /* SA_RESTORER */, hang, 0};
  syscall(SYS_rt_sigaction, SIGSEGV, &action, NULL, 8);
}

static int is(const char* name) { return strcmp(way, name) == 0; }

/* Ends the process, or hangs, or goes on. */
static int32_t misbehave(const sds_block* block, sds_output* output) {
  volatile uint8_t* data = output->data;
  pthread_t thread;
  if (is("crash")) *nowhere = 1;
  if (is("abort")) abort();
  if (is("divide")) zero = 100 / zero;
  if (is("illegal")) __builtin_trap();
  if (is("raise-segv")) raise(SIGSEGV);
  if (is("raise-kill")) raise(SIGKILL);
  if (is("raise-term")) raise(SIGTERM);
  if (is("kill-group")) kill(0, SIGKILL);
  if (is("kill-parent")) {
    kill(getppid(), SIGKILL);
    hang();
  }
  if (is("stop")) raise(SIGSTOP);
  if (is("hang")) hang();
  if (is("spin")) spin();
  if (is("ignore-and-hang")) {
    ignore_signals();
    hang();
  }
  if (is("close-and-hang")) {
    closefrom(0);
    hang();
  }
  if (is("close-and-crash")) {
    closefrom(0);
    *nowhere = 1;
  }
  if (is("close")) closefrom(0);
  if (is("fork-and-crash")) {
    if (fork() == 0) hang();
    *nowhere = 1;
  }
  if (is("fork-and-hang")) {
    if (fork() == 0) {
      setsid();
      ignore_signals();
      if (fork() == 0) hang();
    }
    hang();
  }
  if (is("fork-both")) (void)!fork();
  if (is("fork-other-hangs") && fork() == 0) {
    setsid();
    closefrom(0);
    hang();
  }
  if (is("raw-fork")) {
    /* The copy goes on as if it were the original. The original waits, so that there is something to see. */
    if (syscall(SYS_fork) != 0) usleep(20000);
  }
  if (is("system")) return system("exit 0");
  if (is("thread-crashes")) {
    pthread_create(&thread, NULL, thread_that_crashes, NULL);
    pthread_join(thread, NULL);
  }
  if (is("thread-goes-on")) pthread_create(&thread, NULL, thread_that_goes_on, NULL);
  if (is("chdir")) return chdir("/");
  if (is("overflow-stack")) return overflow_stack(0);
  if (is("exit")) exit(0);
  if (is("_exit")) _exit(7);
  if (is("longjmp")) longjmp(place, 1);
  if (is("over-read")) zero = ((const volatile uint8_t*)block->data)[block->bytes];
  if (is("over-write")) data[output->capacity] = 1;
  if (is("under-write")) data[-1] = 1;
  if (is("own-handler") || is("own-handler-raw")) {
    /* Without it the byte behind the block stops the algorithm. */
    if (is("own-handler")) signal(SIGSEGV, recover);
    if (is("own-handler-raw")) set_handler_by_system_call();
    if (sigsetjmp(recovery, 1) == 0) zero = ((const volatile uint8_t*)block->data)[block->bytes];
    zero = 0;
  }
  if (is("own-handler-in-passing")) {
    signal(SIGBUS, recover);
    signal(SIGBUS, SIG_DFL);
  }
  if (is("own-handler-by-an-old-name")) {
    extern void (*__sysv_signal(int number, void (*handler)(int)))(int);
    __sysv_signal(SIGSEGV, recover);
    __sysv_signal(SIGSEGV, SIG_DFL);
  }
  if (is("under-write-input")) ((volatile uint8_t*)block->data)[-1] = 1;
  if (is("write-over-records")) write_over_records(0x7F);
  if (is("write-over-records-and-crash")) {
    write_over_records(0x7F);
    *nowhere = 1;
  }
  if (is("clear-records-and-crash")) {
    write_over_records(0);
    *nowhere = 1;
  }
  if (is("print")) {
    int i;
    for (i = 0; i < 20; ++i) printf("%s%s", way, i % 10 == 9 ? "\n" : " ");
  }
  if (is("huge-output")) output->bytes = 0xFFFFFFFFu;
  if (is("one-too-many")) output->bytes = output->capacity + 1;
  if (is("allocate")) {
    void* much = malloc(300u << 20);
    if (much == NULL) return -12;
    memset(much, 1, 300u << 20);
  }
  if (is("fail")) return -1;
  if (is("fail-far")) return INT32_MIN;
  return 0;
}

static void* create(const char* configuration, char* error, size_t error_bytes) {
  if (sscanf(configuration, "%31[^@]@%u", way, &bad_block) != 2) {
    snprintf(error, error_bytes, "no WAY@BLOCK");
    return NULL;
  }
  if (is("slow-start")) usleep(1000 * bad_block);
  setjmp(place);
  return way;
}

static void reset(void* instance) {
  (void)instance;
  number = 0;
}

static int32_t execute(void* instance, const sds_block* block, sds_output* outputs) {
  uint32_t values[2] = {number, 0};
  uint32_t i;
  int32_t status = 0;
  (void)instance;
  for (i = 0; i < block->bytes; ++i) values[1] += block->data[i];
  outputs[0].bytes = sizeof values;
  memcpy(outputs[0].data, values, is("unwritten") && number == bad_block ? 7 : sizeof values);
  if (is("sleep")) usleep(1000 * bad_block);
  if (is("sum")) {
    /* So many bytes, however many the block has. */
    for (values[1] = 0, i = 0; i < bad_block; ++i) values[1] += ((const volatile uint8_t*)block->data)[i];
    memcpy(outputs[0].data, values, sizeof values);
  }
  if (is("leak")) memset(malloc(10000), 1, 10000);
  if (number == bad_block) status = misbehave(block, outputs);
  ++number;
  return status;
}

static void destroy(void* instance) { (void)instance; }

static const char* const input_names[] = {"In"};
static const sds_output_port output_ports[] = {{"Out", 8}};
static const sds_algorithm_table table = {SDS_ALGORITHM_VERSION, "torture 1.0", 1,     input_names, 1,
                                          output_ports,          create,        reset, execute,     destroy};

const sds_algorithm_table* sds_algorithm(uint32_t host_version) {
  (void)host_version;
  return &table;
}

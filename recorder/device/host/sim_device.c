/* sds-sim-device: a device for the desk without a board. Streams a 6-axis IMU at 1.6 kHz, a microphone at 16 kHz and a
 * thermometer at 10 Hz to an SDSIO server, runs the example algorithm on its own IMU data as a board would, and
 * streams the algorithm's outputs too. The same seed gives the same bytes on every machine. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "algorithm.h"
#include "line_transport.h"
#include "sds_device.h"
#include "sim_signals.h"
#include "socket_transport.h"

#define IMU_FRAMES 160u  /* 100 ms a block: what the algorithm takes at once */
#define MIC_SAMPLES 320u /* 20 ms a block */
#define STEP_MS 20u      /* the device's main loop */
#define OUTPUT_BYTES 9u  /* data/motion/ML_Out.sds.yml */

typedef struct {
  const char* host;
  uint16_t port;
  double seconds;
  uint64_t seed;
  int real_time;
  int wait_for_start;
  uint32_t first_timeslot;
  const char* serial;  /* port of a serial line, instead of TCP */
  int pty;             /* a pseudo terminal, instead of TCP */
  const char* motions; /* file to write the true motion of each IMU block to */
} options_t;

enum { IMU, MIC, TEMPERATURE, OUTPUT, STREAMS };
static const char* const stream_names[STREAMS] = {"Imu", "Microphone", "Temperature", "ML_Out"};

static void usage(FILE* out) {
  fprintf(out,
          "usage: sds-sim-device [options]\n"
          "A simulated device that streams Imu, Microphone, Temperature and ML_Out to an SDSIO server.\n\n"
          "  --host ADDRESS        IPv4 address of the server (default 127.0.0.1)\n"
          "  --port N              TCP port of the server (default 5050)\n"
          "  --serial PORT         over a serial line instead: /dev/ttyUSB0\n"
          "  --pty                 over a pseudo terminal instead, whose port is printed; `sds serve serial` opens it\n"
          "  --seconds S           how much to stream (default 20)\n"
          "  --seed N              what to stream: the same seed gives the same bytes (default 1)\n"
          "  --speed real|max      in real time, or as fast as the server takes it (default real)\n"
          "  --first-timeslot N    timeslot of the first block, in ms (default 0)\n"
          "  --wait-for-start      begin when the server says so (its key R), end when it says stop (S)\n"
          "  --motions FILE        also write the true motion of each IMU block, one number a line (-1: changing)\n"
          "  --help                this text\n");
}

static int parse_number(const char* text, double low, double high, double* value) {
  char* end = NULL;
  errno = 0;
  *value = strtod(text, &end);
  return errno == 0 && end != text && *end == '\0' && *value >= low && *value <= high ? 0 : -1;
}

static int parse_options(int argc, char** argv, options_t* o) {
  int i;
  for (i = 1; i < argc; ++i) {
    const char* name = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : NULL;
    double number = 0;
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
      usage(stdout);
      exit(0);
    }
    if (strcmp(name, "--wait-for-start") == 0) {
      o->wait_for_start = 1;
      continue;
    }
    if (strcmp(name, "--pty") == 0) {
      o->pty = 1;
      continue;
    }
    ++i;
    if (value != NULL && strcmp(name, "--serial") == 0) {
      o->serial = value;
    } else if (value != NULL && strcmp(name, "--host") == 0) {
      o->host = value;
    } else if (value != NULL && strcmp(name, "--motions") == 0) {
      o->motions = value;
    } else if (value != NULL && strcmp(name, "--port") == 0 && parse_number(value, 1, 65535, &number) == 0) {
      o->port = (uint16_t)number;
    } else if (value != NULL && strcmp(name, "--seconds") == 0 && parse_number(value, 0.1, 1e7, &number) == 0) {
      o->seconds = number;
    } else if (value != NULL && strcmp(name, "--seed") == 0 && parse_number(value, 0, 1e15, &number) == 0) {
      o->seed = (uint64_t)number;
    } else if (value != NULL && strcmp(name, "--first-timeslot") == 0 &&
               parse_number(value, 0, 4294967295.0, &number) == 0) {
      o->first_timeslot = (uint32_t)number;
    } else if (value != NULL && strcmp(name, "--speed") == 0 &&
               (strcmp(value, "real") == 0 || strcmp(value, "max") == 0)) {
      o->real_time = strcmp(value, "real") == 0;
    } else {
      fprintf(stderr, "sds-sim-device: unknown option or bad value: %s %s\n\n", name, value != NULL ? value : "");
      usage(stderr);
      return -1;
    }
  }
  return 0;
}

static void sleep_until(const struct timespec* start, uint64_t ms) {
  struct timespec until = *start;
  until.tv_sec += (time_t)(ms / 1000);
  until.tv_nsec += (long)(ms % 1000) * 1000000L;
  if (until.tv_nsec >= 1000000000L) {
    until.tv_nsec -= 1000000000L;
    ++until.tv_sec;
  }
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
  }
}

/* Until the host has set the flag. */
static int wait_for_flag(sds_device_t* device, uint32_t flag) {
  const struct timespec pause = {0, 100 * 1000 * 1000};
  while ((device->flags & flag) == 0) {
    if (sds_device_exchange(device) < 0) return -1;
    nanosleep(&pause, NULL);
  }
  return 0;
}

/* One turn of the main loop; returns a negative value when the connection is lost. */
static int32_t stream_step(sds_device_t* device, const uint32_t* handles, uint32_t step, const options_t* o,
                           sim_imu_t* imu, sim_mic_t* mic, sim_temperature_t* temperature, FILE* motions) {
  const uint32_t timeslot = o->first_timeslot + step * STEP_MS;
  int16_t samples[MIC_SAMPLES];
  int32_t result;
  sim_mic_block(mic, samples, MIC_SAMPLES);
  result = sds_device_write(device, handles[MIC], timeslot, samples, sizeof samples);
  if (result < 0 || step % 5 != 0) return result;
  {
    int16_t frames[IMU_FRAMES * SIM_IMU_AXES];
    uint8_t output[OUTPUT_BYTES];
    int changed;
    const int motion = sim_imu_block(imu, frames, IMU_FRAMES, &changed);
    const float degrees = sim_temperature_next(temperature);
    if (motions != NULL) fprintf(motions, "%d\n", changed ? -1 : motion);
    result = sds_device_write(device, handles[IMU], timeslot, frames, sizeof frames);
    if (result >= 0) result = sds_device_write(device, handles[TEMPERATURE], timeslot, &degrees, sizeof degrees);
    memset(output, 0, sizeof output);
    if (ExecuteAlgorithm((uint8_t*)frames, sizeof frames, output, sizeof output) != 0)
      fprintf(stderr, "sds-sim-device: the algorithm failed at timeslot %" PRIu32 "\n", timeslot);
    if (result >= 0) result = sds_device_write(device, handles[OUTPUT], timeslot, output, sizeof output);
  }
  return result;
}

static socket_transport_t tcp;
static line_transport_t line;

static int is_line(const options_t* o) { return o->pty || o->serial != NULL; }

/* As firmware of SDS 3.x on a line: it says nothing before the host does. */
static int connect_line(const options_t* o, sds_device_t* device) {
  sds_transport_t interface;
  char name[128];
  if ((o->pty ? line_transport_make(&line, name, sizeof name) : line_transport_open(&line, o->serial)) != 0) {
    fprintf(stderr, "sds-sim-device: cannot open %s: %s\n", o->pty ? "a pseudo terminal" : o->serial, strerror(errno));
    return -1;
  }
  if (o->pty) {
    printf("sds-sim-device: waiting for: sds serve serial --port %s\n", name);
    fflush(stdout);
  }
  interface = line_transport_interface(&line);
  sds_device_init(device, &interface);
  if (wait_for_flag(device, SDS_DEVICE_FLAG_ALIVE) == 0) return 0;
  fprintf(stderr, "sds-sim-device: the server went away\n");
  return -1;
}

static int connect_host(const options_t* o, sds_device_t* device) {
  sds_transport_t interface;
  if (is_line(o)) return connect_line(o, device);
  if (socket_transport_connect(&tcp, o->host, o->port, 5000) != 0) {
    fprintf(stderr, "sds-sim-device: cannot connect to %s:%u: %s (is `sds serve` running?)\n", o->host, o->port,
            strerror(errno));
    return -1;
  }
  interface = socket_transport_interface(&tcp);
  sds_device_init(device, &interface);
  return 0;
}

static void disconnect_host(const options_t* o, sds_device_t* device) {
  if (is_line(o)) {
    (void)sds_device_ping(device); /* it answers when it has all: what a line still holds is lost when it is closed */
    line_transport_close(&line);
  } else {
    socket_transport_disconnect(&tcp);
  }
}

int main(int argc, char** argv) {
  options_t o = {"127.0.0.1", 5050, 20, 1, 1, 0, 0, NULL, 0, NULL};
  sds_device_t device;
  uint32_t handles[STREAMS];
  sim_imu_t imu;
  sim_mic_t mic;
  sim_temperature_t temperature;
  struct timespec start;
  FILE* motions = NULL;
  uint32_t step;
  uint32_t steps;
  int i;
  if (parse_options(argc, argv, &o) != 0) return 2;
  if (o.motions != NULL && (motions = fopen(o.motions, "w")) == NULL) {
    fprintf(stderr, "sds-sim-device: %s: cannot create: %s\n", o.motions, strerror(errno));
    return 4;
  }
  if (connect_host(&o, &device) != 0) return 4;
  if (o.wait_for_start && wait_for_flag(&device, SDS_DEVICE_FLAG_START) != 0) {
    fprintf(stderr, "sds-sim-device: the server went away\n");
    return 4;
  }
  for (i = 0; i < STREAMS; ++i) {
    if (sds_device_open(&device, stream_names[i], SDS_DEVICE_WRITE, &handles[i]) != SDS_DEVICE_OK) {
      fprintf(stderr, "sds-sim-device: the server does not open stream %s\n", stream_names[i]);
      return 4;
    }
  }
  sim_imu_init(&imu, o.seed);
  sim_mic_init(&mic, o.seed);
  sim_temperature_init(&temperature, o.seed);
  if (InitAlgorithm() != 0) return 1;
  ResetAlgorithm();
  clock_gettime(CLOCK_MONOTONIC, &start);
  steps = (uint32_t)llround(o.seconds * 1000.0 / STEP_MS);
  for (step = 0; step < steps; ++step) {
    if (o.real_time) sleep_until(&start, (uint64_t)step * STEP_MS);
    if (stream_step(&device, handles, step, &o, &imu, &mic, &temperature, motions) < 0) break;
    if (step % 5 == 4 && sds_device_exchange(&device) < 0) break;
    if (o.real_time && !is_line(&o) && socket_transport_flush(&tcp) != 0) break;
    if (o.wait_for_start && (device.flags & SDS_DEVICE_FLAG_START) == 0) {
      ++step;
      break;
    }
  }
  if (motions != NULL) fclose(motions);
  if (step < steps && !o.wait_for_start) {
    fprintf(stderr, "sds-sim-device: the connection was lost after %.2f s\n", step * STEP_MS / 1000.0);
    return 4;
  }
  for (i = 0; i < STREAMS; ++i) (void)sds_device_close(&device, handles[i]);
  disconnect_host(&o, &device);
  printf("sds-sim-device: streamed %.2f s (seed %" PRIu64 "): Imu, Microphone, Temperature, ML_Out\n",
         step * STEP_MS / 1000.0, o.seed);
  return 0;
}

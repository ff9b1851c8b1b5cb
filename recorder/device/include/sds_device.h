/* The device half of SDSIO: opens streams on a host that runs `sds serve` (or Arm's SDSIO-Server), writes blocks to
 * them and reads blocks from them. C99, no allocation, one caller at a time; the transport is the user's two functions.
 * Protocol: SDS-Framework documentation/theory.md, "SDSIO-Server Firmware Protocol". */
#ifndef SDS_DEVICE_H
#define SDS_DEVICE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Results. Counts of bytes are positive. */
#define SDS_DEVICE_OK 0
#define SDS_DEVICE_ERROR_PARAMETER (-2)
#define SDS_DEVICE_ERROR_IO (-4) /* the transport failed, or the host does not speak SDSIO */
#define SDS_DEVICE_END (-7)      /* the played-back stream has ended */

/* Bits of sds_device_t.flags, as sdsFlags of SDS-Framework has them. Bits 0 to 23 are the application's. */
#define SDS_DEVICE_FLAG_START 0x80000000u
#define SDS_DEVICE_FLAG_TERMINATE 0x40000000u
#define SDS_DEVICE_FLAG_PLAYBACK 0x20000000u
#define SDS_DEVICE_FLAG_ALIVE 0x10000000u
#define SDS_DEVICE_FLAG_RESET 0x08000000u

/* How bytes get to the host and back. */
typedef struct {
  /* Sends all `size` bytes, or returns a negative value. */
  int32_t (*send)(void* context, const void* data, uint32_t size);
  /* Receives exactly `size` bytes and returns `size`. With `wait` 0 it may instead return 0 at once if no byte is
   * there yet. A negative value: the connection is gone. */
  int32_t (*receive)(void* context, void* data, uint32_t size, int wait);
  void* context;
} sds_transport_t;

typedef struct {
  sds_transport_t transport;
  uint32_t flags;     /* what the host asked for; see SDS_DEVICE_FLAG_... */
  uint32_t idle_rate; /* per cent, told to the host; 0xFFFFFFFF: not known */
} sds_device_t;

typedef enum { SDS_DEVICE_READ = 0, SDS_DEVICE_WRITE = 1 } sds_device_mode_t;

void sds_device_init(sds_device_t* device, const sds_transport_t* transport);

/* Opens a stream; `handle` gets a number that is not 0. Fails with SDS_DEVICE_ERROR_IO if the host refuses. */
int32_t sds_device_open(sds_device_t* device, const char* name, sds_device_mode_t mode, uint32_t* handle);
int32_t sds_device_close(sds_device_t* device, uint32_t handle);

/* Writes one block: `size` bytes of samples with their timeslot. */
int32_t sds_device_write(sds_device_t* device, uint32_t handle, uint32_t timeslot, const void* data, uint32_t size);

/* Reads the next block of a played-back stream: returns its size, or SDS_DEVICE_END. A block larger than `capacity`
 * is an error. */
int32_t sds_device_read(sds_device_t* device, uint32_t handle, uint32_t* timeslot, void* data, uint32_t capacity);

/* Takes in what the host has sent unasked (flags), without waiting, and tells it our flags and idle rate.
 * Call about every 100 ms. */
int32_t sds_device_exchange(sds_device_t* device);

/* Asks whether the host is there: SDS_DEVICE_OK if it answers that it is. */
int32_t sds_device_ping(sds_device_t* device);

#ifdef __cplusplus
}
#endif

#endif

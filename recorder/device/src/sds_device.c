#include "sds_device.h"

#include <stddef.h>
#include <string.h>

enum { COMMAND_OPEN = 1, COMMAND_CLOSE, COMMAND_WRITE, COMMAND_READ, COMMAND_PING, COMMAND_FLAGS, COMMAND_INFO };

#define HEADER_BYTES 16u

static void put_word(uint8_t* p, uint32_t value) {
  p[0] = (uint8_t)value;
  p[1] = (uint8_t)(value >> 8);
  p[2] = (uint8_t)(value >> 16);
  p[3] = (uint8_t)(value >> 24);
}

static uint32_t get_word(const uint8_t* p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_header(uint8_t* p, uint32_t command, uint32_t handle, uint32_t argument, uint32_t size) {
  put_word(p, command);
  put_word(p + 4, handle);
  put_word(p + 8, argument);
  put_word(p + 12, size);
}

static int32_t send_all(sds_device_t* device, const void* data, uint32_t size) {
  if (size == 0) return SDS_DEVICE_OK;
  return device->transport.send(device->transport.context, data, size) < 0 ? SDS_DEVICE_ERROR_IO : SDS_DEVICE_OK;
}

static int32_t send_header(sds_device_t* device, uint32_t command, uint32_t handle, uint32_t argument, uint32_t size) {
  uint8_t header[HEADER_BYTES];
  put_header(header, command, handle, argument, size);
  return send_all(device, header, HEADER_BYTES);
}

static int32_t receive_all(sds_device_t* device, void* data, uint32_t size) {
  const int32_t got = device->transport.receive(device->transport.context, data, size, 1);
  return got == (int32_t)size ? SDS_DEVICE_OK : SDS_DEVICE_ERROR_IO;
}

static void take_flags(sds_device_t* device, const uint8_t* header) {
  device->flags = (device->flags | get_word(header + 4)) & ~get_word(header + 8);
}

/* Waits for the reply to `command`; FLAGS messages may come before it. */
static int32_t receive_reply(sds_device_t* device, uint32_t command, uint8_t* header) {
  for (;;) {
    const int32_t result = receive_all(device, header, HEADER_BYTES);
    if (result != SDS_DEVICE_OK) return result;
    if (get_word(header) == command) return SDS_DEVICE_OK;
    if (get_word(header) != COMMAND_FLAGS) return SDS_DEVICE_ERROR_IO;
    take_flags(device, header);
  }
}

void sds_device_init(sds_device_t* device, const sds_transport_t* transport) {
  device->transport = *transport;
  device->flags = 0;
  device->idle_rate = 0xFFFFFFFFu;
}

int32_t sds_device_open(sds_device_t* device, const char* name, sds_device_mode_t mode, uint32_t* handle) {
  uint8_t header[HEADER_BYTES];
  const size_t length = name == NULL ? 0 : strlen(name);
  int32_t result;
  if (length == 0 || length > 255 || handle == NULL) return SDS_DEVICE_ERROR_PARAMETER;
  result = send_header(device, COMMAND_OPEN, 0, (uint32_t)mode, (uint32_t)length + 1);
  if (result == SDS_DEVICE_OK) result = send_all(device, name, (uint32_t)length + 1);
  if (result == SDS_DEVICE_OK) result = receive_reply(device, COMMAND_OPEN, header);
  if (result != SDS_DEVICE_OK) return result;
  *handle = get_word(header + 4);
  return *handle == 0 ? SDS_DEVICE_ERROR_IO : SDS_DEVICE_OK;
}

int32_t sds_device_close(sds_device_t* device, uint32_t handle) {
  return send_header(device, COMMAND_CLOSE, handle, 0, 0);
}

int32_t sds_device_write(sds_device_t* device, uint32_t handle, uint32_t timeslot, const void* data, uint32_t size) {
  uint8_t head[HEADER_BYTES + 8];
  int32_t result;
  if (size > 0x7FFFFFF0u || (size > 0 && data == NULL)) return SDS_DEVICE_ERROR_PARAMETER;
  put_header(head, COMMAND_WRITE, handle, 0, size + 8);
  put_word(head + HEADER_BYTES, timeslot);
  put_word(head + HEADER_BYTES + 4, size);
  result = send_all(device, head, sizeof head);
  if (result == SDS_DEVICE_OK) result = send_all(device, data, size);
  return result == SDS_DEVICE_OK ? (int32_t)size : result;
}

/* Reads exactly `size` bytes of a stream; SDS_DEVICE_END only before the first of them. */
static int32_t read_stream(sds_device_t* device, uint32_t handle, uint8_t* data, uint32_t size) {
  uint32_t done = 0;
  while (done < size) {
    uint8_t header[HEADER_BYTES];
    uint32_t count;
    int32_t result = send_header(device, COMMAND_READ, handle, size - done, 0);
    if (result == SDS_DEVICE_OK) result = receive_reply(device, COMMAND_READ, header);
    if (result != SDS_DEVICE_OK) return result;
    count = get_word(header + 12);
    if (get_word(header + 4) != handle || count > size - done) return SDS_DEVICE_ERROR_IO;
    if (count == 0) return done == 0 && get_word(header + 8) != 0 ? SDS_DEVICE_END : SDS_DEVICE_ERROR_IO;
    result = receive_all(device, data + done, count);
    if (result != SDS_DEVICE_OK) return result;
    done += count;
  }
  return SDS_DEVICE_OK;
}

int32_t sds_device_read(sds_device_t* device, uint32_t handle, uint32_t* timeslot, void* data, uint32_t capacity) {
  uint8_t head[8];
  uint32_t size;
  int32_t result = read_stream(device, handle, head, sizeof head);
  if (result != SDS_DEVICE_OK) return result;
  size = get_word(head + 4);
  if (size > capacity || size > 0x7FFFFFFFu) return SDS_DEVICE_ERROR_PARAMETER;
  *timeslot = get_word(head);
  if (size > 0) result = read_stream(device, handle, (uint8_t*)data, size);
  if (result == SDS_DEVICE_END) result = SDS_DEVICE_ERROR_IO; /* the file ends inside the block */
  return result == SDS_DEVICE_OK ? (int32_t)size : result;
}

int32_t sds_device_exchange(sds_device_t* device) {
  uint8_t header[HEADER_BYTES];
  for (;;) {
    const int32_t got = device->transport.receive(device->transport.context, header, HEADER_BYTES, 0);
    if (got == 0) break;
    if (got != (int32_t)HEADER_BYTES || get_word(header) != COMMAND_FLAGS) return SDS_DEVICE_ERROR_IO;
    take_flags(device, header);
  }
  if ((device->flags & SDS_DEVICE_FLAG_ALIVE) == 0) return SDS_DEVICE_OK;
  return send_header(device, COMMAND_INFO, device->flags, device->idle_rate, 0);
}

int32_t sds_device_ping(sds_device_t* device) {
  uint8_t header[HEADER_BYTES];
  int32_t result = send_header(device, COMMAND_PING, 0, 0, 0);
  if (result == SDS_DEVICE_OK) result = receive_reply(device, COMMAND_PING, header);
  if (result != SDS_DEVICE_OK) return result;
  return get_word(header + 8) != 0 ? SDS_DEVICE_OK : SDS_DEVICE_ERROR_IO;
}

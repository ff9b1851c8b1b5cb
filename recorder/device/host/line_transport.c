#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE /* cfmakeraw */
#include "line_transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static int make_raw(int line) {
  struct termios settings;
  if (tcgetattr(line, &settings) != 0) return -1;
  cfmakeraw(&settings);
  return tcsetattr(line, TCSANOW, &settings);
}

static int failed(line_transport_t* transport) {
  const int error = errno;
  line_transport_close(transport);
  errno = error;
  return -1;
}

int line_transport_open(line_transport_t* transport, const char* port) {
  transport->heard = 0;
  transport->line = open(port, O_RDWR | O_NOCTTY);
  if (transport->line < 0) return -1;
  return make_raw(transport->line) == 0 ? 0 : failed(transport);
}

int line_transport_make(line_transport_t* transport, char* name, size_t size) {
  const char* port;
  int other_end;
  transport->heard = 0;
  transport->line = posix_openpt(O_RDWR | O_NOCTTY);
  if (transport->line < 0) return -1;
  if (grantpt(transport->line) != 0 || unlockpt(transport->line) != 0 || (port = ptsname(transport->line)) == NULL)
    return failed(transport);
  if (strlen(port) >= size) {
    errno = ENAMETOOLONG;
    return failed(transport);
  }
  strcpy(name, port);
  other_end = open(name, O_RDWR | O_NOCTTY);
  if (other_end < 0) return failed(transport);
  if (make_raw(other_end) != 0) {
    close(other_end);
    return failed(transport);
  }
  close(other_end);
  return 0;
}

static int32_t line_send(void* context, const void* data, uint32_t size) {
  const line_transport_t* transport = (const line_transport_t*)context;
  uint32_t done = 0;
  while (done < size) {
    const ssize_t put = write(transport->line, (const uint8_t*)data + done, size - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return -1;
    done += (uint32_t)put;
  }
  return (int32_t)size;
}

/* 1 if something can be read, 0 if not (now), -1 if the other end has gone. */
static int can_read(const line_transport_t* transport, int timeout_ms) {
  struct pollfd line = {0, POLLIN, 0};
  line.fd = transport->line;
  if (poll(&line, 1, timeout_ms) <= 0) return 0;
  if ((line.revents & POLLIN) != 0) return 1;
  return transport->heard ? -1 : 0;
}

static int32_t line_receive(void* context, void* data, uint32_t size, int wait) {
  line_transport_t* transport = (line_transport_t*)context;
  uint32_t done = 0;
  while (done < size) {
    ssize_t got;
    const int ready = can_read(transport, wait || done > 0 ? 1000 : 0);
    if (ready < 0) return -1;
    if (ready == 0 && !wait && done == 0) return 0;
    if (ready == 0) continue;
    got = read(transport->line, (uint8_t*)data + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return -1;
    transport->heard = 1;
    done += (uint32_t)got;
  }
  return (int32_t)size;
}

void line_transport_close(line_transport_t* transport) {
  if (transport->line >= 0) close(transport->line);
  transport->line = -1;
}

sds_transport_t line_transport_interface(line_transport_t* transport) {
  const sds_transport_t interface = {line_send, line_receive, transport};
  return interface;
}

/* TCP for sds_device on a POSIX host. Small sends are gathered; they leave when the buffer is full, before a receive,
 * and at socket_transport_flush(). */
#ifndef SOCKET_TRANSPORT_H
#define SOCKET_TRANSPORT_H

#include "sds_device.h"

typedef struct {
  int socket;
  uint32_t used;
  uint8_t buffer[65536];
} socket_transport_t;

/* Connects to an IPv4 address, trying for up to `timeout_ms`. Returns 0, or -1 with errno set. */
int socket_transport_connect(socket_transport_t* transport, const char* address, uint16_t port, int timeout_ms);
int socket_transport_flush(socket_transport_t* transport);
void socket_transport_disconnect(socket_transport_t* transport);
sds_transport_t socket_transport_interface(socket_transport_t* transport);

#endif

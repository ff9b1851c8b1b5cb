#define _POSIX_C_SOURCE 200809L
#include "socket_transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int socket_transport_connect(socket_transport_t* transport, const char* address, uint16_t port, int timeout_ms) {
  struct sockaddr_in peer;
  const struct timespec pause = {0, 50 * 1000 * 1000};
  const int on = 1;
  memset(&peer, 0, sizeof peer);
  peer.sin_family = AF_INET;
  peer.sin_port = htons(port);
  if (inet_pton(AF_INET, address, &peer.sin_addr) != 1) {
    errno = EINVAL;
    return -1;
  }
  for (;;) {
    transport->socket = socket(AF_INET, SOCK_STREAM, 0);
    transport->used = 0;
    if (transport->socket < 0) return -1;
    if (connect(transport->socket, (const struct sockaddr*)&peer, sizeof peer) == 0) break;
    close(transport->socket);
    if (errno != ECONNREFUSED || timeout_ms <= 0) return -1;
    nanosleep(&pause, NULL);
    timeout_ms -= 50;
  }
  (void)setsockopt(transport->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return 0;
}

static int send_now(socket_transport_t* transport, const uint8_t* data, size_t size) {
  while (size > 0) {
    const ssize_t put = send(transport->socket, data, size, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return -1;
    data += put;
    size -= (size_t)put;
  }
  return 0;
}

int socket_transport_flush(socket_transport_t* transport) {
  const uint32_t used = transport->used;
  transport->used = 0;
  return send_now(transport, transport->buffer, used);
}

static int32_t transport_send(void* context, const void* data, uint32_t size) {
  socket_transport_t* transport = (socket_transport_t*)context;
  if (size > sizeof transport->buffer - transport->used && socket_transport_flush(transport) != 0) return -1;
  if (size > sizeof transport->buffer) return send_now(transport, (const uint8_t*)data, size) == 0 ? (int32_t)size : -1;
  memcpy(transport->buffer + transport->used, data, size);
  transport->used += size;
  return (int32_t)size;
}

static int32_t transport_receive(void* context, void* data, uint32_t size, int wait) {
  socket_transport_t* transport = (socket_transport_t*)context;
  uint32_t done = 0;
  if (socket_transport_flush(transport) != 0) return -1;
  while (done < size) {
    const int flags = !wait && done == 0 ? MSG_DONTWAIT : 0;
    const ssize_t got = recv(transport->socket, (uint8_t*)data + done, size - done, flags);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    if (got <= 0) return -1;
    done += (uint32_t)got;
  }
  return (int32_t)size;
}

void socket_transport_disconnect(socket_transport_t* transport) {
  if (transport->socket < 0) return;
  (void)socket_transport_flush(transport);
  (void)shutdown(transport->socket, SHUT_WR);
  close(transport->socket);
  transport->socket = -1;
}

sds_transport_t socket_transport_interface(socket_transport_t* transport) {
  const sds_transport_t interface = {transport_send, transport_receive, transport};
  return interface;
}

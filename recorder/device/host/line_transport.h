/* A serial line for sds_device on a POSIX host: a port, or a pseudo terminal that looks like one. */
#ifndef LINE_TRANSPORT_H
#define LINE_TRANSPORT_H

#include <stddef.h>

#include "sds_device.h"

typedef struct {
  int line;
  int heard; /* something was received: before, nobody need be at the other end */
} line_transport_t;

/* Opens a port that exists, raw, at the speed that it has. Returns 0, or -1 with errno set. */
int line_transport_open(line_transport_t* transport, const char* port);

/* Makes a pseudo terminal; `name`, of `size` bytes, gets the port for the other end. Returns 0, or -1 with errno set.
 */
int line_transport_make(line_transport_t* transport, char* name, size_t size);

void line_transport_close(line_transport_t* transport);
sds_transport_t line_transport_interface(line_transport_t* transport);

#endif

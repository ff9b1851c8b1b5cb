/* A library that an algorithm brings along. It, too, has a variable that is called as one of the C library is. */
#include <stdint.h>

extern int timezone;
int timezone = 33;
int32_t brought_along(void);
int32_t brought_along(void) { return timezone; }

/* The interface that Arm's SDS template gives to an algorithm under test (SDS-Framework documentation/template.md).
 * `sds replay` calls these three functions in a shared library; firmware calls them on the device. */
#ifndef ALGORITHM_H
#define ALGORITHM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Prepares the algorithm; 0, or -1 on error. */
int32_t InitAlgorithm(void);
/* Forgets everything that earlier blocks left behind. */
void ResetAlgorithm(void);
/* Processes one block of `in_num` bytes and writes `out_num` bytes of output; 0, or -1 on error. */
int32_t ExecuteAlgorithm(uint8_t* in_buf, uint32_t in_num, uint8_t* out_buf, uint32_t out_num);

#ifdef __cplusplus
}
#endif

#endif

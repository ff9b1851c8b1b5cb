/* What comes in goes out, as much as there is room for; the rest is 0. */
#include <string.h>

#include "algorithm.h"

int32_t InitAlgorithm(void) { return 0; }
void ResetAlgorithm(void) {}

int32_t ExecuteAlgorithm(uint8_t* in_buf, uint32_t in_num, uint8_t* out_buf, uint32_t out_num) {
  memset(out_buf, 0, out_num);
  memcpy(out_buf, in_buf, in_num < out_num ? in_num : out_num);
  return 0;
}

/* An algorithm that does next to nothing: what is measured with it is the way there and back. */
#include "algorithm.h"

int32_t InitAlgorithm(void) { return 0; }

void ResetAlgorithm(void) {}

int32_t ExecuteAlgorithm(uint8_t* in_buf, uint32_t in_num, uint8_t* out_buf, uint32_t out_num) {
  if (in_num > 0 && out_num > 0) out_buf[0] = in_buf[0];
  return 0;
}

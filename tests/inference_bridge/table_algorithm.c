/* An algorithm behind sds_algorithm.h that does what its input says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sds/sds_algorithm.h"

#ifdef OTHER_VERSION
#define VERSION 99u
#else
#define VERSION SDS_ALGORITHM_VERSION
#endif

static void* create(const char* configuration, char* error, size_t error_bytes) {
  if (strcmp(configuration, "refuse") == 0) {
    snprintf(error, error_bytes, "told to refuse");
    return NULL;
  }
  if (strcmp(configuration, "abort in create") == 0) abort();
  return strdup(configuration);
}

static void reset(void* instance) {
  if (strcmp((const char*)instance, "abort in reset") == 0) abort();
}

static int32_t execute(void* instance, const sds_block* block, sds_output* outputs) {
  const char* data = (const char*)block->data;
  if (block->bytes >= 4 && memcmp(data, "none", 4) == 0) return 0;
  if (block->bytes >= 4 && memcmp(data, "fail", 4) == 0) return 42;
  if (block->bytes >= 5 && memcmp(data, "least", 5) == 0) return INT32_MIN;
  if (block->bytes >= 5 && memcmp(data, "abort", 5) == 0) abort();
  if (block->bytes >= 3 && memcmp(data, "own", 3) == 0) {
    static uint8_t own[64];
    outputs[0].data = own;
    outputs[0].bytes = 8;
    return 0;
  }
  if (block->bytes >= 4 && memcmp(data, "room", 4) == 0) {
    outputs[1].capacity = outputs[1].bytes = 1000;
    return 0;
  }
  if (block->bytes >= 3 && memcmp(data, "lie", 3) == 0) {
    outputs[0].bytes = outputs[0].capacity + 1;
    return 0;
  }
  if (block->bytes >= 9 && memcmp(data, "overwrite", 9) == 0)
    ((volatile uint8_t*)outputs[0].data)[outputs[0].capacity] = 1;
  outputs[0].bytes = (uint32_t)snprintf((char*)outputs[0].data, outputs[0].capacity, "%s:%u:%.*s",
                                        (const char*)instance, (unsigned)block->input, (int)block->bytes, data);
  memcpy(outputs[1].data, &block->tick, 8);
  memcpy(outputs[1].data + 8, &block->numerator, 4);
  memcpy(outputs[1].data + 12, &block->denominator, 4);
  outputs[1].bytes = 16;
  return 0;
}

static const char* const input_names[] = {"A", "B"};
static const sds_output_port output_ports[] = {{"Text", 64}, {"Times", 16}};
static const sds_algorithm_table table = {VERSION,      "test 1.0", 2,     input_names, 2,
                                          output_ports, create,     reset, execute,     free};

const sds_algorithm_table* sds_algorithm(uint32_t host_version) {
  (void)host_version;
  return &table;
}

/* The keyword spotter's features behind sds_algorithm.h: 20 int8 values for each window of 512 samples. */
#include <stdlib.h>
#include <string.h>

#include "keyword_features.h"
#include "sds/sds_algorithm.h"

static void* create(const char* configuration, char* error, size_t error_bytes) {
  (void)configuration;
  (void)error;
  (void)error_bytes;
  return malloc(sizeof(keyword_scratch));
}

static void reset(void* instance) { (void)instance; }

static int32_t execute(void* instance, const sds_block* block, sds_output* outputs) {
  int16_t samples[KEYWORD_SAMPLES];
  if (block->bytes != sizeof samples) return -1;
  memcpy(samples, block->data, sizeof samples);
  keyword_features(samples, (keyword_scratch*)instance, (int8_t*)outputs[0].data);
  outputs[0].bytes = KEYWORD_BANDS;
  return 0;
}

static const char* const input_names[] = {"Microphone"};
static const sds_output_port output_ports[] = {{"Features", KEYWORD_BANDS}};
static const sds_algorithm_table table = {
    SDS_ALGORITHM_VERSION, "keyword features 1", 1, input_names, 1, output_ports, create, reset, execute, free};

const sds_algorithm_table* sds_algorithm(uint32_t host_version) {
  return host_version == SDS_ALGORITHM_VERSION ? &table : NULL;
}

/* The interface between sdskit and an algorithm in a shared library, for algorithms that need more than Arm's three
 * functions (algorithm.h): several input streams, several outputs, a configuration, exact time. C99, no dependencies.
 *
 * The library exports one function, sds_algorithm(). Everything else hangs on the table that it returns. sdskit calls
 * from one thread; nothing here may be called from a signal handler.
 *
 *   create -> reset -> execute* -> reset -> execute* ... -> destroy
 *
 * An algorithm must not keep pointers to blocks or outputs, read clocks or random devices, or keep anything across
 * reset: a replay of the same recording must give the same outputs. */
#ifndef SDS_ALGORITHM_H
#define SDS_ALGORITHM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SDS_ALGORITHM_VERSION 1u /* of this interface */
#define SDS_ALGORITHM_MAX_PORTS 8u

/* A block of an input stream. Its time is tick * denominator / numerator seconds. */
typedef struct {
  uint32_t input; /* which input: an index into sds_algorithm_table.input_names */
  uint32_t bytes;
  const uint8_t* data; /* aligned for the stream's samples if it has whole ones; valid during the call */
  uint64_t tick;       /* the block's timeslot, unwrapped to 64 bits */
  uint32_t numerator;  /* of the tick frequency in Hz */
  uint32_t denominator;
} sds_block;

/* Room for one output of a call. Set `bytes` to what was written; 0 (as it comes) means: no output this time. */
typedef struct {
  uint8_t* data; /* holds anything: write all the bytes that you report */
  uint32_t capacity;
  uint32_t bytes;
} sds_output;

typedef struct {
  const char* name;   /* of the output stream */
  uint32_t max_bytes; /* of one output block */
} sds_output_port;

typedef struct {
  uint32_t version; /* SDS_ALGORITHM_VERSION */
  const char* name; /* of the algorithm, with its version: "motion 1.2" */
  uint32_t input_count;
  const char* const* input_names; /* what --in binds to, in this order */
  uint32_t output_count;
  const sds_output_port* outputs;

  /* Makes an instance. `configuration` is the text given with --config, or "". On failure returns NULL and writes the
   * reason, zero-terminated, to `error`. */
  void* (*create)(const char* configuration, char* error, size_t error_bytes);
  /* Forgets everything that earlier blocks left behind. */
  void (*reset)(void* instance);
  /* Processes one block. `outputs` has output_count entries. 0, or an error number that the report will show. */
  int32_t (*execute)(void* instance, const sds_block* block, sds_output* outputs);
  void (*destroy)(void* instance);
} sds_algorithm_table;

/* Returns the table, or NULL if the library cannot work with a host of this version. The table stays valid. */
const sds_algorithm_table* sds_algorithm(uint32_t host_version);

#ifdef __cplusplus
}
#endif

#endif

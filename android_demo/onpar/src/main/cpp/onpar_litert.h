/* A .tflite model through LiteRT's C API: one float32 input, named float32 outputs, on the CPU.
 *
 * LiteRT's library is opened at run time, so that nothing of it is needed to build this. Functions of one model must not
 * be called at the same time. */
#ifndef ONPAR_LITERT_H
#define ONPAR_LITERT_H

#include <stddef.h>

typedef struct onpar_model onpar_model;

/* What went wrong is written into `error`; the pointer is NULL then. */
typedef enum { ONPAR_OK = 0, ONPAR_NO_LIBRARY = 1, ONPAR_BAD_MODEL = 2, ONPAR_BAD_TENSOR = 3 } onpar_status;

/* library: path or name of libLiteRt.so. content: the .tflite file, copied. The sizes count float32 values. */
onpar_status onpar_open(const char *library, const void *content, size_t bytes, const char *input_name, size_t input_size,
                        int output_count, const char *const *output_names, const size_t *output_sizes,
                        onpar_model **model, char *error, size_t error_bytes);

/* Copies the input in, runs, copies every output out, in the order of onpar_open's names. 0 on success. */
int onpar_run(onpar_model *model, const float *input, float *const *outputs);

void onpar_close(onpar_model *model);

#endif

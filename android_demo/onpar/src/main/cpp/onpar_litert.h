/* A .tflite model through LiteRT's C API: named inputs and outputs of several types, on the CPU.
 *
 * LiteRT's library is opened at run time, so that nothing of it is needed to build this. Functions of one model must not
 * be called at the same time. */
#ifndef ONPAR_LITERT_H
#define ONPAR_LITERT_H

#include <stddef.h>

typedef struct onpar_model onpar_model;

/* What went wrong is written into `error`; the pointer is NULL then. */
typedef enum { ONPAR_OK = 0, ONPAR_NO_LIBRARY = 1, ONPAR_BAD_MODEL = 2, ONPAR_BAD_TENSOR = 3 } onpar_status;

/* Types of tensors, by LiteRT's own numbers. */
enum { ONPAR_FLOAT32 = 1, ONPAR_INT32 = 2, ONPAR_UINT8 = 3, ONPAR_INT64 = 4, ONPAR_BOOL = 6, ONPAR_FLOAT16 = 10 };
enum { ONPAR_MOST_TENSORS = 32 }; /* inputs, and as many outputs */

/* A tensor as bundle.json has it; the size counts values. */
typedef struct {
    const char *name;
    int type;
    size_t size;
} onpar_tensor;

/* Bytes of one value; 0 for a type that is none of the above. */
size_t onpar_width(int type);

/* library: path or name of libLiteRt.so. content: the .tflite file, copied. */
onpar_status onpar_open(const char *library, const void *content, size_t bytes, const onpar_tensor *inputs, int input_count,
                        const onpar_tensor *outputs, int output_count, onpar_model **model, char *error,
                        size_t error_bytes);

/* Copies the inputs in, runs, copies every output out, both in the order of onpar_open's tensors. 0 on success. */
int onpar_run(onpar_model *model, const void *const *inputs, void *const *outputs);

void onpar_close(onpar_model *model);

#endif

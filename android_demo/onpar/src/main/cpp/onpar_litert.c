#define _POSIX_C_SOURCE 200809L
#include "onpar_litert.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CPU = 1, READ = 0, WRITE = 1, ALIGNMENT = 64 };

/* LiteRT 2.3: LiteRtEnvOption with a whole number; 2 is the type of the value. */
typedef struct {
    int32_t tag;
    struct {
        int32_t type;
        int64_t value;
    } any;
} environment_option;

/* Only the CPU is asked for: otherwise LiteRT looks for the libraries of every GPU first. Errors alone are logged. */
static const environment_option ENVIRONMENT[] = {{24, {2, CPU}}, {25, {2, 3}}};

/* LiteRT 2.3: LiteRtRankedTensorType. The rank shares its word with a flag for strides. */
typedef struct {
    int32_t element;
    uint32_t rank;
    int32_t dims[8];
    uint32_t strides[8];
} tensor_type;

/* The functions of LiteRT 2.3 that are used here; every one returns 0 on success. */
typedef struct {
    int (*CreateEnvironment)(int, const void *, void **);
    int (*CreateModelFromBuffer)(void *, const void *, size_t, void **);
    int (*CreateOptions)(void **);
    int (*SetOptionsHardwareAccelerators)(void *, int);
    int (*CreateCompiledModel)(void *, void *, void *, void **);
    int (*GetModelSignature)(void *, size_t, void **);
    int (*GetNumSignatureInputs)(void *, size_t *);
    int (*GetNumSignatureOutputs)(void *, size_t *);
    int (*GetSignatureInputName)(void *, size_t, const char **);
    int (*GetSignatureOutputName)(void *, size_t, const char **);
    int (*GetSignatureInputTensorByIndex)(void *, size_t, void **);
    int (*GetSignatureOutputTensorByIndex)(void *, size_t, void **);
    int (*GetRankedTensorType)(void *, tensor_type *);
    int (*GetCompiledModelInputBufferRequirements)(void *, size_t, size_t, void **);
    int (*GetCompiledModelOutputBufferRequirements)(void *, size_t, size_t, void **);
    int (*CreateManagedTensorBufferFromRequirements)(void *, const tensor_type *, void *, void **);
    int (*LockTensorBuffer)(void *, void **, int);
    int (*UnlockTensorBuffer)(void *);
    int (*RunCompiledModel)(void *, size_t, size_t, void **, size_t, void **);
    void (*DestroyTensorBuffer)(void *);
    void (*DestroyCompiledModel)(void *);
    void (*DestroyOptions)(void *);
    void (*DestroyModel)(void *);
    void (*DestroyEnvironment)(void *);
} litert;

/* The inputs, or the outputs. */
typedef struct {
    void *buffers[ONPAR_MOST_TENSORS]; /* in the model's order */
    size_t count;
    /* Of each of the caller's tensors: where it lies among the model's, and its bytes. */
    size_t places[ONPAR_MOST_TENSORS], bytes[ONPAR_MOST_TENSORS];
} side;

struct onpar_model {
    litert api;
    void *content, *environment, *model, *options, *compiled;
    side inputs, outputs;
};

/* Fills the table; returns the first name that the library lacks, or NULL. */
static const char *find_functions(void *library, litert *api) {
    struct {
        const char *name;
        void *place;
    } wanted[] = {
#define F(name) {"LiteRt" #name, &api->name}
        F(CreateEnvironment), F(CreateModelFromBuffer), F(CreateOptions), F(SetOptionsHardwareAccelerators),
        F(CreateCompiledModel), F(GetModelSignature), F(GetNumSignatureInputs), F(GetNumSignatureOutputs),
        F(GetSignatureInputName), F(GetSignatureOutputName), F(GetSignatureInputTensorByIndex),
        F(GetSignatureOutputTensorByIndex), F(GetRankedTensorType), F(GetCompiledModelInputBufferRequirements),
        F(GetCompiledModelOutputBufferRequirements), F(CreateManagedTensorBufferFromRequirements), F(LockTensorBuffer),
        F(UnlockTensorBuffer), F(RunCompiledModel), F(DestroyTensorBuffer), F(DestroyCompiledModel), F(DestroyOptions),
        F(DestroyModel), F(DestroyEnvironment),
#undef F
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *function = dlsym(library, wanted[i].name);
        if (!function) return wanted[i].name;
        memcpy(wanted[i].place, &function, sizeof function);
    }
    return NULL;
}

static size_t count_values(const tensor_type *type) {
    size_t count = 1;
    for (uint32_t i = 0; i < (type->rank & 0x7f) && i < 8; i++) count *= (size_t)type->dims[i];
    return count;
}

size_t onpar_width(int type) {
    switch (type) {
        case ONPAR_FLOAT32:
        case ONPAR_INT32: return 4;
        case ONPAR_FLOAT16: return 2;
        case ONPAR_INT64: return 8;
        case ONPAR_UINT8:
        case ONPAR_BOOL: return 1;
        default: return 0;
    }
}

/* A buffer for one tensor; what is wrong with the tensor goes into `error`. */
static void *make_buffer(onpar_model *m, void *tensor, void *requirements, const onpar_tensor *wanted, char *error,
                         size_t error_bytes) {
    tensor_type type = {0};
    void *buffer = NULL;
    if (m->api.GetRankedTensorType(tensor, &type) || type.element != wanted->type || !onpar_width(wanted->type) ||
        count_values(&type) != wanted->size) {
        snprintf(error, error_bytes, "tensor '%s' has %zu values of type %d; needed: %zu of type %d", wanted->name,
                 count_values(&type), (int)type.element, wanted->size, wanted->type);
        return NULL;
    }
    int status = m->api.CreateManagedTensorBufferFromRequirements(m->environment, &type, requirements, &buffer);
    if (status) snprintf(error, error_bytes, "no buffer for '%s' (LiteRT status %d)", wanted->name, status);
    return status ? NULL : buffer;
}

/* What differs between inputs and outputs. */
typedef struct {
    const char *what;
    int (*count)(void *, size_t *);
    int (*name)(void *, size_t, const char **);
    int (*tensor)(void *, size_t, void **);
    int (*requirements)(void *, size_t, size_t, void **);
} kind;

static onpar_status open_side(onpar_model *m, void *signature, kind of, side *s, const onpar_tensor *tensors, int count,
                              char *error, size_t error_bytes) {
    size_t held = 0;
    if (of.count(signature, &held) || held != (size_t)count || held > ONPAR_MOST_TENSORS) {
        snprintf(error, error_bytes, "the model has %zu %ss; needed: %d, at most %d", held, of.what, count,
                 ONPAR_MOST_TENSORS);
        return ONPAR_BAD_TENSOR;
    }
    for (size_t place = 0; place < held; place++) {
        const char *found = "";
        void *tensor = NULL, *requirements = NULL;
        int wanted = 0;
        if (of.name(signature, place, &found)) found = "";
        while (wanted < count && strcmp(tensors[wanted].name, found)) wanted++;
        if (wanted == count || of.tensor(signature, place, &tensor) ||
            of.requirements(m->compiled, 0, place, &requirements)) {
            snprintf(error, error_bytes, "the model has an %s '%s' that bundle.json does not name", of.what, found);
            return ONPAR_BAD_TENSOR;
        }
        s->places[wanted] = place;
        s->bytes[wanted] = tensors[wanted].size * onpar_width(tensors[wanted].type);
        s->buffers[place] = make_buffer(m, tensor, requirements, &tensors[wanted], error, error_bytes);
        if (!s->buffers[place]) return ONPAR_BAD_TENSOR;
        s->count = place + 1;
    }
    return ONPAR_OK;
}

static onpar_status compile(onpar_model *m, const void *content, size_t bytes, void **signature, char *error,
                            size_t error_bytes) {
    const litert *api = &m->api;
    int status = 0;
    const char *step = "memory";
#define STEP(call) ((step = #call), (status = api->call))
    if (posix_memalign(&m->content, ALIGNMENT, bytes ? bytes : 1)) status = -1;
    else {
        memcpy(m->content, content, bytes); /* LiteRT reads the weights from here as long as the model lives */
        if (STEP(CreateEnvironment(2, ENVIRONMENT, &m->environment)) ||
            STEP(CreateModelFromBuffer(m->environment, m->content, bytes, &m->model)) || STEP(CreateOptions(&m->options)) ||
            STEP(SetOptionsHardwareAccelerators(m->options, CPU)) ||
            STEP(CreateCompiledModel(m->environment, m->model, m->options, &m->compiled)) ||
            STEP(GetModelSignature(m->model, 0, signature))) {
        }
    }
#undef STEP
    if (!status) return ONPAR_OK;
    snprintf(error, error_bytes, "LiteRT status %d in %.*s", status, (int)strcspn(step, "("), step);
    return ONPAR_BAD_MODEL;
}

onpar_status onpar_open(const char *library, const void *content, size_t bytes, const onpar_tensor *inputs, int input_count,
                        const onpar_tensor *outputs, int output_count, onpar_model **model, char *error,
                        size_t error_bytes) {
    *model = NULL;
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(error, error_bytes, "%s", dlerror());
        return ONPAR_NO_LIBRARY;
    }
    onpar_model *m = calloc(1, sizeof *m);
    const char *missing = m ? find_functions(handle, &m->api) : "memory";
    if (missing) {
        snprintf(error, error_bytes, "%s lacks %s; needed: LiteRT 2.3 or newer", library, missing);
        free(m);
        return ONPAR_NO_LIBRARY;
    }
    void *signature = NULL;
    onpar_status status = compile(m, content, bytes, &signature, error, error_bytes);
    const litert *api = &m->api;
    kind in = {"input", api->GetNumSignatureInputs, api->GetSignatureInputName, api->GetSignatureInputTensorByIndex,
               api->GetCompiledModelInputBufferRequirements};
    kind out = {"output", api->GetNumSignatureOutputs, api->GetSignatureOutputName, api->GetSignatureOutputTensorByIndex,
                api->GetCompiledModelOutputBufferRequirements};
    if (!status) status = open_side(m, signature, in, &m->inputs, inputs, input_count, error, error_bytes);
    if (!status) status = open_side(m, signature, out, &m->outputs, outputs, output_count, error, error_bytes);
    if (status) onpar_close(m);
    else *model = m;
    return status;
}

static int copy(onpar_model *m, const side *s, size_t wanted, void *values, int mode) {
    void *memory = NULL, *buffer = s->buffers[s->places[wanted]];
    int status = m->api.LockTensorBuffer(buffer, &memory, mode);
    if (status) return status;
    if (mode == WRITE) memcpy(memory, values, s->bytes[wanted]);
    else memcpy(values, memory, s->bytes[wanted]);
    return m->api.UnlockTensorBuffer(buffer);
}

int onpar_run(onpar_model *m, const void *const *inputs, void *const *outputs) {
    int status = 0;
    for (size_t i = 0; !status && i < m->inputs.count; i++) status = copy(m, &m->inputs, i, (void *)inputs[i], WRITE);
    if (!status)
        status = m->api.RunCompiledModel(m->compiled, 0, m->inputs.count, m->inputs.buffers, m->outputs.count,
                                         m->outputs.buffers);
    for (size_t i = 0; !status && i < m->outputs.count; i++) status = copy(m, &m->outputs, i, outputs[i], READ);
    return status;
}

/* LiteRT's library itself stays loaded: it can't be unloaded while its threads live. */
void onpar_close(onpar_model *m) {
    if (!m) return;
    for (size_t i = 0; i < ONPAR_MOST_TENSORS; i++) {
        if (m->inputs.buffers[i]) m->api.DestroyTensorBuffer(m->inputs.buffers[i]);
        if (m->outputs.buffers[i]) m->api.DestroyTensorBuffer(m->outputs.buffers[i]);
    }
    if (m->compiled) m->api.DestroyCompiledModel(m->compiled);
    if (m->options) m->api.DestroyOptions(m->options);
    if (m->model) m->api.DestroyModel(m->model);
    if (m->environment) m->api.DestroyEnvironment(m->environment);
    free(m->content);
    free(m);
}

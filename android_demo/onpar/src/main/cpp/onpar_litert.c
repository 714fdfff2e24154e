#define _POSIX_C_SOURCE 200809L
#include "onpar_litert.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CPU = 1, FLOAT32 = 1, READ = 0, WRITE = 1, MOST_OUTPUTS = 8, ALIGNMENT = 64 };

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

struct onpar_model {
    litert api;
    void *content, *environment, *model, *options, *compiled;
    void *input, *outputs[MOST_OUTPUTS];
    size_t input_size, output_sizes[MOST_OUTPUTS];
    /* Where each of the caller's outputs lies among the model's. */
    size_t places[MOST_OUTPUTS];
    size_t output_count;
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

/* A buffer for one tensor; what is wrong with the tensor goes into `error`. */
static void *make_buffer(onpar_model *m, void *tensor, void *requirements, const char *name, size_t size, char *error,
                         size_t error_bytes) {
    tensor_type type = {0};
    void *buffer = NULL;
    if (m->api.GetRankedTensorType(tensor, &type) || type.element != FLOAT32 || count_values(&type) != size) {
        snprintf(error, error_bytes, "tensor '%s' has %zu values of type %d; needed: %zu float32", name,
                 count_values(&type), (int)type.element, size);
        return NULL;
    }
    int status = m->api.CreateManagedTensorBufferFromRequirements(m->environment, &type, requirements, &buffer);
    if (status) snprintf(error, error_bytes, "no buffer for '%s' (LiteRT status %d)", name, status);
    return status ? NULL : buffer;
}

static onpar_status open_input(onpar_model *m, void *signature, const char *name, size_t size, char *error,
                               size_t error_bytes) {
    const char *found = NULL;
    void *tensor = NULL, *requirements = NULL;
    size_t count = 0;
    if (m->api.GetNumSignatureInputs(signature, &count) || count != 1 ||
        m->api.GetSignatureInputName(signature, 0, &found) || strcmp(found, name) ||
        m->api.GetSignatureInputTensorByIndex(signature, 0, &tensor) ||
        m->api.GetCompiledModelInputBufferRequirements(m->compiled, 0, 0, &requirements)) {
        snprintf(error, error_bytes, "the model has %zu inputs, the first '%s'; needed: one, '%s'", count,
                 found ? found : "", name);
        return ONPAR_BAD_TENSOR;
    }
    m->input_size = size;
    m->input = make_buffer(m, tensor, requirements, name, size, error, error_bytes);
    return m->input ? ONPAR_OK : ONPAR_BAD_TENSOR;
}

static onpar_status open_outputs(onpar_model *m, void *signature, int count, const char *const *names,
                                 const size_t *sizes, char *error, size_t error_bytes) {
    size_t held = 0;
    if (m->api.GetNumSignatureOutputs(signature, &held) || held != (size_t)count || held > MOST_OUTPUTS) {
        snprintf(error, error_bytes, "the model has %zu outputs; needed: %d, at most %d", held, count, MOST_OUTPUTS);
        return ONPAR_BAD_TENSOR;
    }
    for (size_t place = 0; place < held; place++) {
        const char *found = "";
        void *tensor = NULL, *requirements = NULL;
        int wanted = 0;
        if (m->api.GetSignatureOutputName(signature, place, &found)) found = "";
        while (wanted < count && strcmp(names[wanted], found)) wanted++;
        if (wanted == count || m->api.GetSignatureOutputTensorByIndex(signature, place, &tensor) ||
            m->api.GetCompiledModelOutputBufferRequirements(m->compiled, 0, place, &requirements)) {
            snprintf(error, error_bytes, "the model has an output '%s' that bundle.json does not name", found);
            return ONPAR_BAD_TENSOR;
        }
        m->places[wanted] = place;
        m->output_sizes[wanted] = sizes[wanted];
        m->outputs[place] = make_buffer(m, tensor, requirements, found, sizes[wanted], error, error_bytes);
        if (!m->outputs[place]) return ONPAR_BAD_TENSOR;
        m->output_count = place + 1;
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

onpar_status onpar_open(const char *library, const void *content, size_t bytes, const char *input_name, size_t input_size,
                        int output_count, const char *const *output_names, const size_t *output_sizes,
                        onpar_model **model, char *error, size_t error_bytes) {
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
    if (!status) status = open_input(m, signature, input_name, input_size, error, error_bytes);
    if (!status) status = open_outputs(m, signature, output_count, output_names, output_sizes, error, error_bytes);
    if (status) onpar_close(m);
    else *model = m;
    return status;
}

static int copy(onpar_model *m, void *buffer, void *values, size_t size, int mode) {
    void *memory = NULL;
    int status = m->api.LockTensorBuffer(buffer, &memory, mode);
    if (status) return status;
    if (mode == WRITE) memcpy(memory, values, size * sizeof(float));
    else memcpy(values, memory, size * sizeof(float));
    return m->api.UnlockTensorBuffer(buffer);
}

int onpar_run(onpar_model *m, const float *input, float *const *outputs) {
    int status = copy(m, m->input, (void *)input, m->input_size, WRITE);
    if (!status) status = m->api.RunCompiledModel(m->compiled, 0, 1, &m->input, m->output_count, m->outputs);
    for (size_t i = 0; !status && i < m->output_count; i++)
        status = copy(m, m->outputs[m->places[i]], outputs[i], m->output_sizes[i], READ);
    return status;
}

/* LiteRT's library itself stays loaded: it can't be unloaded while its threads live. */
void onpar_close(onpar_model *m) {
    if (!m) return;
    for (size_t i = 0; i < MOST_OUTPUTS; i++)
        if (m->outputs[i]) m->api.DestroyTensorBuffer(m->outputs[i]);
    if (m->input) m->api.DestroyTensorBuffer(m->input);
    if (m->compiled) m->api.DestroyCompiledModel(m->compiled);
    if (m->options) m->api.DestroyOptions(m->options);
    if (m->model) m->api.DestroyModel(m->model);
    if (m->environment) m->api.DestroyEnvironment(m->environment);
    free(m->content);
    free(m);
}

/* org.onpar.LiteRtNative: Kotlin's side of onpar_litert.h. */
#include <jni.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onpar_litert.h"

/* Memory for the inputs, or for the outputs. */
typedef struct {
    void *values[ONPAR_MOST_TENSORS];
    size_t bytes[ONPAR_MOST_TENSORS], sizes[ONPAR_MOST_TENSORS];
    int count;
} tensors;

/* A model with memory for its tensors: Java's arrays are copied, so that the garbage collector never waits for a run. */
typedef struct {
    onpar_model *model;
    tensors inputs, outputs;
} session;

static int make_tensors(tensors *t, const onpar_tensor *wanted, int count) {
    for (; t->count < count; t->count++) {
        t->sizes[t->count] = wanted[t->count].size;
        t->bytes[t->count] = wanted[t->count].size * onpar_width(wanted[t->count].type);
        t->values[t->count] = malloc(t->bytes[t->count] ? t->bytes[t->count] : 1);
        if (!t->values[t->count]) return 0;
    }
    return 1;
}

static void free_session(session *s) {
    if (!s) return;
    onpar_close(s->model);
    for (int i = 0; i < s->inputs.count; i++) free(s->inputs.values[i]);
    for (int i = 0; i < s->outputs.count; i++) free(s->outputs.values[i]);
    free(s);
}

static session *make_session(onpar_model *model, const onpar_tensor *inputs, int input_count, const onpar_tensor *outputs,
                             int output_count) {
    session *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    if (make_tensors(&s->inputs, inputs, input_count) && make_tensors(&s->outputs, outputs, output_count)) {
        s->model = model;
        return s;
    }
    free_session(s); /* the model stays with the caller */
    return NULL;
}

/* Throws the OnPar error of this class. */
static void throw_error(JNIEnv *env, const char *name, const char *detail) {
    jclass kind = (*env)->FindClass(env, name);
    if (kind) (*env)->ThrowNew(env, kind, detail);
}

static const char *error_class(onpar_status status) {
    if (status == ONPAR_NO_LIBRARY) return "org/onpar/BackendUnavailable";
    return status == ONPAR_BAD_MODEL ? "org/onpar/RuntimeTooOld" : "org/onpar/BundleInvalid";
}

/* names, types and sizes hold the inputs, then the outputs. */
JNIEXPORT jlong JNICALL Java_org_onpar_LiteRtNative_open(JNIEnv *env, jobject self, jstring library, jbyteArray content,
                                                         jint input_count, jobjectArray names, jintArray types,
                                                         jlongArray sizes) {
    (void)self;
    char error[512] = "";
    onpar_model *model = NULL;
    int count = (int)(*env)->GetArrayLength(env, names), output_count = count - input_count;
    if (input_count > ONPAR_MOST_TENSORS || output_count > ONPAR_MOST_TENSORS) {
        throw_error(env, "org/onpar/BundleInvalid", "more than 32 inputs or outputs; split the network");
        return 0;
    }
    onpar_tensor wanted[2 * ONPAR_MOST_TENSORS];
    jstring strings[2 * ONPAR_MOST_TENSORS];
    jint *given_types = (*env)->GetIntArrayElements(env, types, NULL);
    jlong *given_sizes = (*env)->GetLongArrayElements(env, sizes, NULL);
    for (int i = 0; i < count; i++) {
        strings[i] = (*env)->GetObjectArrayElement(env, names, i);
        const char *name = (*env)->GetStringUTFChars(env, strings[i], NULL);
        wanted[i] = (onpar_tensor){name, given_types[i], (size_t)given_sizes[i]};
    }
    const onpar_tensor *outputs = wanted + input_count;
    const char *path = (*env)->GetStringUTFChars(env, library, NULL);
    jbyte *bytes = (*env)->GetByteArrayElements(env, content, NULL);
    size_t length = (size_t)(*env)->GetArrayLength(env, content);
    onpar_status status = onpar_open(path, bytes, length, wanted, input_count, outputs, output_count, &model, error, sizeof error);
    (*env)->ReleaseByteArrayElements(env, content, bytes, JNI_ABORT);
    (*env)->ReleaseStringUTFChars(env, library, path);
    session *made = status ? NULL : make_session(model, wanted, input_count, outputs, output_count);
    for (int i = 0; i < count; i++) {
        (*env)->ReleaseStringUTFChars(env, strings[i], wanted[i].name);
        (*env)->DeleteLocalRef(env, strings[i]);
    }
    (*env)->ReleaseLongArrayElements(env, sizes, given_sizes, JNI_ABORT);
    (*env)->ReleaseIntArrayElements(env, types, given_types, JNI_ABORT);
    if (status) throw_error(env, error_class(status), error);
    else if (!made) {
        onpar_close(model);
        throw_error(env, "java/lang/OutOfMemoryError", "no memory for the model's tensors");
    }
    return (jlong)(intptr_t)made;
}

enum { READ, WRITE };

/* Between Java's arrays and the session's memory. Kotlin has checked the arrays' types. */
static int copy(JNIEnv *env, tensors *t, jobjectArray arrays, int mode) {
    for (int i = 0; i < t->count; i++) {
        jarray array = (*env)->GetObjectArrayElement(env, arrays, i);
        int fits = (size_t)(*env)->GetArrayLength(env, array) == t->sizes[i];
        void *values = fits ? (*env)->GetPrimitiveArrayCritical(env, array, NULL) : NULL;
        if (values) {
            if (mode == READ) memcpy(t->values[i], values, t->bytes[i]);
            else memcpy(values, t->values[i], t->bytes[i]);
            (*env)->ReleasePrimitiveArrayCritical(env, array, values, mode == READ ? JNI_ABORT : 0);
        }
        (*env)->DeleteLocalRef(env, array);
        if (!values) return -1;
    }
    return 0;
}

JNIEXPORT jint JNICALL Java_org_onpar_LiteRtNative_run(JNIEnv *env, jobject self, jlong handle, jobjectArray inputs,
                                                       jobjectArray outputs) {
    (void)self;
    session *s = (session *)(intptr_t)handle;
    int status = copy(env, &s->inputs, inputs, READ);
    if (!status) status = onpar_run(s->model, (const void *const *)s->inputs.values, s->outputs.values);
    return status ? status : copy(env, &s->outputs, outputs, WRITE);
}

JNIEXPORT void JNICALL Java_org_onpar_LiteRtNative_close(JNIEnv *env, jobject self, jlong handle) {
    (void)env;
    (void)self;
    free_session((session *)(intptr_t)handle);
}

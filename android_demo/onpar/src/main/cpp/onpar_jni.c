/* org.onpar.LiteRtNative: Kotlin's side of onpar_litert.h. */
#include <jni.h>
#include <stdint.h>
#include <stdlib.h>

#include "onpar_litert.h"

enum { MOST_OUTPUTS = 8 };

/* A model with memory for its tensors: Java's arrays are copied, so that the garbage collector never waits for a run. */
typedef struct {
    onpar_model *model;
    float *input, *outputs[MOST_OUTPUTS];
    size_t input_size, output_sizes[MOST_OUTPUTS];
    int count;
} session;

static void free_session(session *s) {
    if (!s) return;
    onpar_close(s->model);
    for (int i = 0; i < s->count; i++) free(s->outputs[i]);
    free(s->input);
    free(s);
}

static session *make_session(onpar_model *model, size_t input_size, int count, const size_t *output_sizes) {
    session *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->model = model;
    s->input_size = input_size;
    s->input = malloc(input_size * sizeof(float));
    int complete = s->input != NULL;
    for (; s->count < count; s->count++) {
        s->output_sizes[s->count] = output_sizes[s->count];
        s->outputs[s->count] = malloc(output_sizes[s->count] * sizeof(float));
        complete = complete && s->outputs[s->count];
    }
    if (complete) return s;
    s->model = NULL; /* stays with the caller */
    free_session(s);
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

JNIEXPORT jlong JNICALL Java_org_onpar_LiteRtNative_open(JNIEnv *env, jobject self, jstring library, jbyteArray content,
                                                         jstring input_name, jlong input_size, jobjectArray output_names,
                                                         jlongArray output_sizes) {
    (void)self;
    char error[512] = "";
    onpar_model *model = NULL;
    int count = (int)(*env)->GetArrayLength(env, output_names);
    if (count > MOST_OUTPUTS) {
        throw_error(env, "org/onpar/BundleInvalid", "more than 8 outputs; export the bundle again");
        return 0;
    }
    const char *names[MOST_OUTPUTS];
    jstring strings[MOST_OUTPUTS];
    size_t sizes[MOST_OUTPUTS];
    jlong *given = (*env)->GetLongArrayElements(env, output_sizes, NULL);
    for (int i = 0; i < count; i++) {
        strings[i] = (*env)->GetObjectArrayElement(env, output_names, i);
        names[i] = (*env)->GetStringUTFChars(env, strings[i], NULL);
        sizes[i] = (size_t)given[i];
    }
    const char *path = (*env)->GetStringUTFChars(env, library, NULL), *name = (*env)->GetStringUTFChars(env, input_name, NULL);
    jbyte *bytes = (*env)->GetByteArrayElements(env, content, NULL);
    size_t length = (size_t)(*env)->GetArrayLength(env, content);
    onpar_status status = onpar_open(path, bytes, length, name, (size_t)input_size, count, names, sizes, &model, error, sizeof error);
    (*env)->ReleaseByteArrayElements(env, content, bytes, JNI_ABORT);
    (*env)->ReleaseStringUTFChars(env, input_name, name);
    (*env)->ReleaseStringUTFChars(env, library, path);
    for (int i = 0; i < count; i++) (*env)->ReleaseStringUTFChars(env, strings[i], names[i]);
    (*env)->ReleaseLongArrayElements(env, output_sizes, given, JNI_ABORT);
    session *made = status ? NULL : make_session(model, (size_t)input_size, count, sizes);
    if (status) throw_error(env, error_class(status), error);
    else if (!made) {
        onpar_close(model);
        throw_error(env, "java/lang/OutOfMemoryError", "no memory for the model's tensors");
    }
    return (jlong)(intptr_t)made;
}

JNIEXPORT jint JNICALL Java_org_onpar_LiteRtNative_run(JNIEnv *env, jobject self, jlong handle, jfloatArray input,
                                                       jobjectArray outputs) {
    (void)self;
    session *s = (session *)(intptr_t)handle;
    (*env)->GetFloatArrayRegion(env, input, 0, (jsize)s->input_size, s->input);
    if ((*env)->ExceptionCheck(env)) return -1;
    int status = onpar_run(s->model, s->input, s->outputs);
    for (int i = 0; !status && i < s->count; i++) {
        jfloatArray array = (*env)->GetObjectArrayElement(env, outputs, i);
        (*env)->SetFloatArrayRegion(env, array, 0, (jsize)s->output_sizes[i], s->outputs[i]);
        (*env)->DeleteLocalRef(env, array);
    }
    return status;
}

JNIEXPORT void JNICALL Java_org_onpar_LiteRtNative_close(JNIEnv *env, jobject self, jlong handle) {
    (void)env;
    (void)self;
    free_session((session *)(intptr_t)handle);
}

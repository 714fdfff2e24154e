/* Stands before the C library's malloc in the tests' process. Smaller blocks are the language's own small change. */
#include "allocations.h"

#include <errno.h>
#include <stddef.h>

#ifdef __GLIBC__

enum { SMALLEST = 512 };

static _Thread_local long long allocated;

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static void count(size_t size) {
    if (size >= SMALLEST) allocated += (long long)size;
}

void *malloc(size_t size) {
    count(size);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count(number * size);
    return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size) {
    count(size);
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    count(size);
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}

long long onpar_allocated_bytes(void) { return allocated; }

#else

long long onpar_allocated_bytes(void) { return -1; }

#endif

/* The buffer type of weights that lie interleaved. */

#include "backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static const char *weights_name(buffer_type_t type) {
    (void)type;
    return "RETAB";
}

static void set_weights(buffer_t buffer, struct tensor *tensor, const void *data, size_t offset, size_t size) {
    (void)buffer;
    const int type = weight_type(tensor);
    if (offset != 0 || !is_interleaved(tensor) || size != (size_t)tensor->ne[1] * tensor->nb[1]) {
        fprintf(stderr, "local_retab: weights of %s were given in parts or are of another type\n", tensor->name);
        abort();
    }
    const int64_t groups = tensor->ne[1] / ROWS, bytes = (int64_t)tensor->nb[1] * ROWS;
    const int blocks = (int)(tensor->ne[0] / BLOCK);
#pragma omp parallel for
    for (int64_t group = 0; group < groups; group++) {
        interleave((enum weight_type)type, (const uint8_t *)data + group * bytes,
                   (uint8_t *)tensor->data + group * bytes, blocks);
    }
}

/* Fewer pages are fewer misses of their table. What the system cannot give it does not. */
static void ask_for_large_pages(char *memory, size_t size) {
#ifdef MADV_HUGEPAGE
    const size_t page = 2 * 1024 * 1024;
    char *first = (char *)(((uintptr_t)memory + page - 1) / page * page);
    if (first + page <= memory + size) {
        madvise(first, (size_t)(memory + size - first) / page * page, MADV_HUGEPAGE);
    }
#else
    (void)memory, (void)size;
#endif
}

/* ggml's buffer for processors with another way in, and none out. */
static buffer_t new_buffer(buffer_type_t type, size_t size) {
    buffer_t buffer = host.alloc_buffer(host.cpu_buffer_type(), size);
    if (buffer) {
        buffer->type = type;
        buffer->interface.set_tensor = set_weights;
        buffer->interface.get_tensor = NULL;
        buffer->interface.cpy_tensor = NULL;
        ask_for_large_pages(host.base(buffer), size);
    }
    return buffer;
}

static size_t alignment(buffer_type_t type) {
    (void)type;
    return 64;
}

struct buffer_type weights_type = {
    .interface = {.get_name = weights_name, .alloc_buffer = new_buffer, .get_alignment = alignment},
};

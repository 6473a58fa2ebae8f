/* A backend of ggml, beside that for processors, for weights in a buffer type of its own: there sixteen rows lie side
   by side (rows.h). Everything else stays in ggml's memory for processors, so nothing is copied between the two.

   Beside such weights it takes attention too, and in calls of few tokens the small operations between products, as each
   change of the backend costs some microseconds. */

#include "backend.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct host host;
const struct kernels *kernels;

static const char *backend_name(backend_t backend) {
    (void)backend;
    return "RETAB";
}

static void free_backend(backend_t backend) {
    struct state *state = backend->context;
    free(state->memory);
    free(state);
    free(backend);
}

static void set_threads(backend_t backend, int threads) { ((struct state *)backend->context)->threads = threads; }

static const char *device_name(device_t device) {
    (void)device;
    return "RETAB";
}

static const char *device_description(device_t device) {
    (void)device;
    return kernels->name;
}

static void device_memory(device_t device, size_t *free_bytes, size_t *total) {
    (void)device;
    *free_bytes = *total = 0;
}

static int device_type(device_t device) {
    (void)device;
    return DEVICE_ACCELERATOR;
}

static void device_properties(device_t device, struct properties *properties) {
    memset(properties, 0, sizeof *properties);
    properties->name = device_name(device);
    properties->description = device_description(device);
    properties->type = DEVICE_ACCELERATOR;
}

static backend_t new_backend(device_t device, const char *parameters) {
    (void)parameters;
    static uint8_t guid[16] = {0x5d, 0x0e, 0x91, 0x7c, 0x2b, 0x64, 0x4f, 0x3a,
                               0xb8, 0x16, 0xc7, 0x42, 0xe9, 0x05, 0xd3, 0x8f};
    struct backend *backend = calloc(1, sizeof *backend);
    struct state *state = calloc(1, sizeof *state);
    if (!backend || !state) {
        free(backend);
        free(state);
        return NULL;
    }
    state->threads = 1;
    backend->guid = &guid;
    backend->interface.get_name = backend_name;
    backend->interface.free = free_backend;
    backend->interface.graph_compute = compute;
    backend->device = device;
    backend->context = state;
    return backend;
}

static buffer_type_t device_buffer_type(device_t device) {
    (void)device;
    return host.cpu_buffer_type();
}

static bool supports_buffer(device_t device, buffer_type_t type) {
    (void)device;
    return type == &weights_type || host.is_host(type);
}

static const char *registry_name(registry_t registry) {
    (void)registry;
    return "RETAB";
}

static size_t device_count(registry_t registry) {
    (void)registry;
    return 1;
}

static device_t get_device(registry_t registry, size_t index) {
    (void)index;
    static struct device device = {
        .interface =
            {
                .get_name = device_name,
                .get_description = device_description,
                .get_memory = device_memory,
                .get_type = device_type,
                .get_props = device_properties,
                .init_backend = new_backend,
                .get_buffer_type = device_buffer_type,
                .supports_op = supports,
                .supports_buft = supports_buffer,
            },
    };
    device.registry = registry;
    weights_type.device = &device;
    return &device;
}

static void *get_function(registry_t registry, const char *name) {
    (void)registry;
    return strcmp(name, "ggml_backend_set_n_threads") == 0 ? (void *)set_threads : NULL;
}

static bool is_same_interface(const struct host *given) {
    return given->tensor_overhead() == TENSOR_OVERHEAD && sizeof(struct tensor) == 336 &&
           strcmp(given->op_name(OP_MUL_MAT), "MUL_MAT") == 0 && strcmp(given->op_name(OP_RMS_NORM), "RMS_NORM") == 0 &&
           strcmp(given->op_name(OP_ADD), "ADD") == 0 && strcmp(given->op_name(OP_MUL), "MUL") == 0 &&
           strcmp(given->op_name(OP_RESHAPE), "RESHAPE") == 0 &&
           strcmp(given->op_name(OP_TRANSPOSE), "TRANSPOSE") == 0 && strcmp(given->op_name(OP_GLU), "GLU") == 0 &&
           strcmp(given->op_name(OP_FLASH_ATTN_EXT), "FLASH_ATTN_EXT") == 0 &&
           strcmp(given->type_name(TYPE_F16), "f16") == 0 && strcmp(given->type_name(TYPE_Q4_K), "q4_K") == 0 &&
           strcmp(given->type_name(TYPE_Q6_K), "q6_K") == 0;
}

/* The buffer type of interleaved weights. */
EXPORTED buffer_type_t local_retab_weights(void) { return &weights_type; }

/* From now on, in this thread: whether small operations and attention are taken too. */
EXPORTED void local_retab_take(bool all) { taking = all; }

/* This thread and those that compute with it sleep: between calls OpenMP lets them spin on the processors for some
   milliseconds, which whoever brings an answer to its reader waits for. */
EXPORTED void local_retab_rest(int threads, int microseconds) {
    const struct timespec time = {.tv_nsec = microseconds * 1000L};
#pragma omp parallel num_threads(threads)
    nanosleep(&time, NULL);
}

/* The instructions in use. */
EXPORTED const char *local_retab_kernels(void) { return kernels->name; }

/* Whether such weights can lie interleaved. */
EXPORTED bool local_retab_takes(const struct tensor *weights) { return is_suitable(weights); }

/* What `ggml_backend_register` takes, or NULL where the processor has no such instructions, or ggml is another. */
EXPORTED registry_t local_retab_backend(const struct host *given) {
    static struct registry registry = {
        .api_version = PLUGIN_VERSION,
        .interface = {registry_name, device_count, get_device, get_function},
    };
    if (!is_same_interface(given)) {
        return NULL;
    }
    host = *given;
    kernels = avx512_kernels();
    if (!kernels) {
        kernels = avx2_kernels();
    }
    return kernels ? &registry : NULL;
}

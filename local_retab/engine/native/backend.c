/* A backend of ggml, beside that for processors, for weights in a buffer type of its own: there sixteen rows lie side by
   side (rows.h). Everything else stays in ggml's memory for processors, so nothing is copied between the two.

   Beside such weights it takes attention too, and in calls of few tokens the small operations between products, as each
   change of the backend costs some microseconds. All threads run through the whole graph together and meet at barriers. */

#include "plugin.h"
#include "rows.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* GROUPS of sixteen rows are a thread's next work. A panel of columns is what stays in a second-level cache. */
enum { GROUPS = 4, FEW_COLUMNS = 32, PANEL_BYTES = 512 * 1024 };

static struct host host;
static const struct kernels *kernels;
/* Whether other operations than products are taken, in this thread: only beside weights of our own. */
static _Thread_local bool taking;
static int64_t attended;

struct state {
    int threads;
    char *memory; /* the activations of a product, then the products of each thread */
    size_t size;
    size_t products_at, products_size;
};

static struct buffer_type weights_type;

static int weight_type(const struct tensor *weights) {
    switch (weights->type) {
    case TYPE_Q4_K:
        return WEIGHT_Q4_K;
    case TYPE_Q5_K:
        return WEIGHT_Q5_K;
    case TYPE_Q6_K:
        return WEIGHT_Q6_K;
    default:
        return WEIGHT_TYPES;
    }
}

static bool is_table(const struct tensor *tensor) {
    return tensor->type == TYPE_F32 && tensor->nb[0] == sizeof(float) && tensor->ne[2] == 1 && tensor->ne[3] == 1;
}

static bool is_few_columns(const struct tensor *tensor) {
    return is_table(tensor) && tensor->ne[1] <= FEW_COLUMNS;
}

static bool is_suitable(const struct tensor *weights) {
    return weight_type(weights) < WEIGHT_TYPES && weights->ne[0] % BLOCK == 0 && weights->ne[1] % ROWS == 0 &&
           weights->ne[2] == 1 && weights->ne[3] == 1 && !weights->view_src;
}

static bool is_interleaved(const struct tensor *weights) {
    return weights->buffer && weights->buffer->type == &weights_type && is_suitable(weights);
}

/* Whether `other` is of the same shape or one column for all. */
static bool spreads(const struct tensor *other, const struct tensor *result) {
    return is_table(other) && other->ne[0] == result->ne[0] && (other->ne[1] == 1 || other->ne[1] == result->ne[1]);
}

/* Rows of queries that share a head of keys. */
static int group_of(const struct tensor *result) { return (int)(result->src[0]->ne[2] / result->src[1]->ne[2]); }

static bool is_plain_attention(const struct tensor *result) {
    const struct tensor *queries = result->src[0], *keys = result->src[1], *values = result->src[2],
                        *mask = result->src[3];
    float parameters[3]; /* scale, bias by distance, cap of scores */
    memcpy(parameters, result->op_params, sizeof parameters);
    return kernels->attend && queries->type == TYPE_F32 && keys->type == TYPE_F16 &&
           values->type == TYPE_F16 && !result->src[4] && parameters[1] == 0 && parameters[2] == 0 &&
           (queries->ne[0] == 64 || queries->ne[0] == 128) && values->ne[0] == queries->ne[0] &&
           queries->ne[3] == 1 && keys->ne[1] % GRAIN == 0 && queries->ne[2] % keys->ne[2] == 0 &&
           queries->nb[0] == 4 && keys->nb[0] == 2 && values->nb[0] == 2 &&
           (!mask || (mask->type == TYPE_F16 && mask->ne[2] == 1 && mask->ne[3] == 1 && mask->nb[0] == 2));
}

static bool supports(device_t device, const struct tensor *result) {
    (void)device;
    const struct tensor *first = result->src[0], *second = result->src[1];
    switch (result->op) {
    case OP_NONE:
    case OP_RESHAPE:
    case OP_VIEW:
    case OP_PERMUTE:
    case OP_TRANSPOSE:
        return taking;
    case OP_ADD:
    case OP_MUL:
        return taking && is_few_columns(result) && spreads(first, result) && first->ne[1] == result->ne[1] &&
               spreads(second, result);
    case OP_RMS_NORM:
        return taking && is_few_columns(result) && spreads(first, result);
    case OP_GLU:
        return taking && result->op_params[0] == GLU_SWIGLU && second && is_few_columns(result) && spreads(first, result) &&
               spreads(second, result) && second->ne[1] == result->ne[1] && first->ne[1] == result->ne[1];
    case OP_FLASH_ATTN_EXT:
        return taking && is_plain_attention(result);
    case OP_MUL_MAT:
        return result->op_params[1] == 0 && is_interleaved(first) && is_table(second) && is_table(result);
    default:
        return false;
    }
}

static float *column_of(const struct tensor *tensor, int64_t column) {
    return (float *)((char *)tensor->data + column * tensor->nb[1]);
}

/* The operations between products. Each takes its share of the values, so that one column is work for all threads. */

struct share {
    int64_t from, to;
};

static struct share share_of(int64_t count, int thread, int threads) {
    return (struct share){count * thread / threads, count * (thread + 1) / threads};
}

static void combine(const struct tensor *result, int thread, int threads) {
    const struct share part = share_of(result->ne[0], thread, threads);
    const int64_t step = result->src[1]->ne[1] > 1;
    for (int64_t column = 0; column < result->ne[1]; column++) {
        const float *first = column_of(result->src[0], column), *second = column_of(result->src[1], step * column);
        float *target = column_of(result, column);
        if (result->op == OP_ADD) {
            for (int64_t index = part.from; index < part.to; index++) {
                target[index] = first[index] + second[index];
            }
        } else if (result->op == OP_MUL) {
            for (int64_t index = part.from; index < part.to; index++) {
                target[index] = first[index] * second[index];
            }
        } else {
            for (int64_t index = part.from; index < part.to; index++) {
                target[index] = first[index] / (1.0f + expf(-first[index])) * second[index];
            }
        }
    }
}

static void rms_norm(const struct tensor *result, int thread, int threads) {
    float epsilon;
    memcpy(&epsilon, result->op_params, sizeof epsilon);
    const struct share part = share_of(result->ne[1], thread, threads);
    const int64_t count = result->ne[0];
    for (int64_t column = part.from; column < part.to; column++) {
        const float *source = column_of(result->src[0], column);
        float *target = column_of(result, column);
        double sum = 0;
        for (int64_t index = 0; index < count; index++) {
            sum += (double)(source[index] * source[index]);
        }
        const float scale = 1.0f / sqrtf((float)(sum / (double)count) + epsilon);
        for (int64_t index = 0; index < count; index++) {
            target[index] = source[index] * scale;
        }
    }
}

static size_t aligned(size_t size) { return (size + 63) / 64 * 64; }

static struct activations lay_out(char *memory, int columns, int blocks) {
    const size_t cells = (size_t)columns * (size_t)blocks;
    struct activations activations = {columns, blocks, NULL, NULL, NULL};
    activations.values = (int8_t *)memory;
    activations.biases = (int32_t *)(memory + cells * BLOCK);
    activations.scales = (float *)(activations.biases + cells * BIASES);
    return activations;
}

static size_t activation_bytes(size_t cells) {
    return aligned(cells * (BLOCK + BIASES * sizeof(int32_t) + sizeof(float)));
}

static void quantise(const struct tensor *product, const struct activations *activations, int thread, int threads) {
    const enum weight_type type = (enum weight_type)weight_type(product->src[0]);
    const int64_t columns = activations->columns;
    const struct share part = share_of(columns * activations->blocks, thread, threads);
    for (int64_t cell = part.from; cell < part.to; cell++) {
        const float *source = column_of(product->src[1], cell % columns) + cell / columns * BLOCK;
        kernels->quantise(type, source, activations->values + cell * BLOCK, activations->biases + cell * BIASES,
                          activations->scales + cell);
    }
}

static int panel_columns(int blocks) {
    const int columns = PANEL_BYTES / (blocks * BLOCK) / 8 * 8;
    return columns < 8 ? 8 : columns;
}

/* Threads take the next rows when they are done with some: a neighbour on the machine may slow one of them down. */
static void multiply(const struct tensor *product, const struct activations *activations, float (*products)[ROWS],
                     int64_t *next) {
    const struct tensor *weights = product->src[0];
    const enum weight_type type = (enum weight_type)weight_type(weights);
    const int64_t groups = weights->ne[1] / ROWS, shares = (groups + GROUPS - 1) / GROUPS;
    const int panel = panel_columns(activations->blocks);
    const int64_t panels = (activations->columns + panel - 1) / panel;
    for (;;) {
        const int64_t share = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
        if (share >= shares * panels) {
            return;
        }
        const int from = (int)(share / shares) * panel;
        const int to = from + panel < activations->columns ? from + panel : activations->columns;
        const int64_t first = share % shares * GROUPS, last = first + GROUPS < groups ? first + GROUPS : groups;
        for (int64_t group = first; group < last; group++) {
            const uint8_t *rows = (const uint8_t *)weights->data + group * ROWS * (int64_t)weights->nb[1];
            kernels->multiply(type, rows, activations, from, to, products);
            for (int column = from; column < to; column++) {
                memcpy(column_of(product, column) + group * ROWS, products[column - from], sizeof *products);
            }
        }
    }
}

/* Rows of queries by head of keys, in as many parts as there are threads to take them. */
static void attend(const struct tensor *result, int threads, int64_t *next) {
    const struct tensor *queries = result->src[0], *keys = result->src[1], *values = result->src[2],
                        *mask = result->src[3];
    struct attention attention = {
        .queries = queries->data, .keys = keys->data, .values = values->data, .mask = mask ? mask->data : NULL,
        .query_token = queries->nb[1], .query_head = queries->nb[2], .key_cell = keys->nb[1],
        .key_head = keys->nb[2], .value_cell = values->nb[1], .value_head = values->nb[2],
        .mask_token = mask ? mask->nb[1] : 0, .result = result->data, .result_token = result->nb[2],
        .result_head = result->nb[1], .cells = (int)keys->ne[1], .width = (int)queries->ne[0],
        .group = group_of(result),
    };
    memcpy(&attention.scale, result->op_params, sizeof attention.scale);
    const int heads = (int)keys->ne[2], rows = (int)queries->ne[1] * attention.group;
    const int wanted = (threads + heads - 1) / heads; /* parts of a head's rows */
    int part = (rows + wanted - 1) / wanted;
    part = part < QUERY_ROWS ? part : QUERY_ROWS;
    const int parts = (rows + part - 1) / part;
    for (;;) {
        const int64_t share = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
        if (share >= (int64_t)heads * parts) {
            return;
        }
        const int from = (int)(share % parts) * part;
        kernels->attend(&attention, (int)(share / parts), from, from + part < rows ? from + part : rows);
    }
}

static bool is_computed(const struct tensor *tensor) {
    return (tensor->flags & FLAG_COMPUTE) && tensor->op != OP_NONE &&
           (tensor->op < OP_RESHAPE || tensor->op > OP_TRANSPOSE);
}

/* Memory for the largest product of a graph; it is kept. False: there is none. */
static bool reserve(struct state *state, graph_t graph, int nodes) {
    size_t needed = 0, products = 0;
    for (int index = 0; index < nodes; index++) {
        const struct tensor *node = host.graph_node(graph, index);
        if (is_computed(node) && node->op == OP_MUL_MAT) {
            const int blocks = (int)(node->src[1]->ne[0] / BLOCK), panel = panel_columns(blocks);
            const size_t bytes = activation_bytes((size_t)node->src[1]->ne[1] * (size_t)blocks);
            const size_t sums = (size_t)(node->ne[1] < panel ? node->ne[1] : panel) * ROWS * sizeof(float);
            needed = bytes > needed ? bytes : needed;
            products = sums > products ? sums : products;
        }
    }
    state->products_at = needed;
    state->products_size = products;
    needed += products * (size_t)state->threads;
    if (needed > state->size) {
        free(state->memory);
        state->memory = aligned_alloc(64, aligned(needed));
        state->size = state->memory ? aligned(needed) : 0;
    }
    return needed <= state->size;
}

static void run(const struct state *state, graph_t graph, int nodes, int64_t *next, int thread, int threads) {
    const struct tensor *quantised = NULL;
    int quantised_type = WEIGHT_TYPES;
    struct activations activations = {0};
    float(*products)[ROWS] = (float(*)[ROWS])(state->memory + state->products_at + state->products_size * (size_t)thread);
    for (int index = 0; index < nodes; index++) {
        const struct tensor *node = host.graph_node(graph, index);
        if (!is_computed(node)) {
            continue;
        }
        if (node->op == OP_MUL_MAT) {
            const int type = weight_type(node->src[0]);
            if (node->src[1] != quantised || type != quantised_type) {
                activations = lay_out(state->memory, (int)node->src[1]->ne[1], (int)(node->src[1]->ne[0] / BLOCK));
                quantise(node, &activations, thread, threads);
                quantised = node->src[1];
                quantised_type = type;
            }
            if (thread == 0) {
                *next = 0;
            }
#pragma omp barrier
            multiply(node, &activations, products, next);
        } else if (node->op == OP_FLASH_ATTN_EXT) {
            if (thread == 0) {
                *next = 0;
            }
#pragma omp barrier
            attend(node, threads, next);
            if (thread == 0) {
                attended++;
            }
        } else if (node->op == OP_RMS_NORM) {
            rms_norm(node, thread, threads);
        } else {
            combine(node, thread, threads);
        }
#pragma omp barrier
    }
}

static int compute(backend_t backend, graph_t graph) {
    struct state *state = backend->context;
    const int nodes = host.graph_n_nodes(graph);
    if (!reserve(state, graph, nodes)) {
        return STATUS_ALLOC_FAILED;
    }
    int64_t next = 0;
#pragma omp parallel num_threads(state->threads)
    run(state, graph, nodes, &next, omp_get_thread_num(), omp_get_num_threads());
    return STATUS_SUCCESS;
}

/* Weights. */

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
        interleave((enum weight_type)type, (const uint8_t *)data + group * bytes, (uint8_t *)tensor->data + group * bytes,
                   blocks);
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

static struct buffer_type weights_type = {
    .interface = {.get_name = weights_name, .alloc_buffer = new_buffer, .get_alignment = alignment},
};

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
           strcmp(given->type_name(TYPE_F16), "f16") == 0 &&
           strcmp(given->type_name(TYPE_Q4_K), "q4_K") == 0 && strcmp(given->type_name(TYPE_Q6_K), "q6_K") == 0;
}

#define EXPORTED __attribute__((visibility("default")))

/* The buffer type of interleaved weights. */
EXPORTED buffer_type_t local_retab_weights(void) { return &weights_type; }

/* From now on, in this thread: whether small operations and attention are taken too. */
EXPORTED void local_retab_take(bool all) { taking = all; }

/* Whether attention is among them. */
EXPORTED bool local_retab_attends(void) { return kernels->attend != NULL; }

/* For tests: how many times attention was computed here. */
EXPORTED int64_t local_retab_attended(void) { return attended; }

/* The instructions in use. */
EXPORTED const char *local_retab_kernels(void) { return kernels->name; }

/* Whether such weights can lie interleaved. */
EXPORTED bool local_retab_takes(const struct tensor *weights) { return is_suitable(weights); }

/* For tests: the products of sixteen rows, as they are in a file, with columns of 256 * blocks floats, by the kernels of
   that name. False where this processor has none, or no memory is left. */
EXPORTED bool local_retab_products(const char *name, int type, const uint8_t *rows, int blocks, const float *source,
                                   int columns, float (*products)[ROWS]) {
    const size_t bytes = (size_t)blocks * (size_t)weight_block_bytes[type] * ROWS;
    const size_t cells = (size_t)blocks * (size_t)columns;
    const struct kernels *all[] = {avx512_kernels(), avx2_kernels()}, *chosen = NULL;
    for (size_t index = 0; index < sizeof all / sizeof *all; index++) {
        chosen = all[index] && strcmp(all[index]->name, name) == 0 ? all[index] : chosen;
    }
    char *memory = aligned_alloc(64, activation_bytes(cells) + aligned(bytes));
    if (!memory || !chosen) {
        free(memory);
        return false;
    }
    const struct activations activations = lay_out(memory, columns, blocks);
    uint8_t *interleaved = (uint8_t *)memory + activation_bytes(cells);
    interleave((enum weight_type)type, rows, interleaved, blocks);
    for (size_t cell = 0; cell < cells; cell++) {
        const float *from = source + (cell % (size_t)columns * (size_t)blocks + cell / (size_t)columns) * BLOCK;
        chosen->quantise((enum weight_type)type, from, activations.values + cell * BLOCK,
                         activations.biases + cell * BIASES, activations.scales + cell);
    }
    chosen->multiply((enum weight_type)type, interleaved, &activations, 0, columns, products);
    free(memory);
    return true;
}

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

/* All threads run through a graph together and meet at barriers. */

#include "backend.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* GROUPS of sixteen rows are a thread's next work. A panel of columns is what stays in a second-level cache. */
enum { GROUPS = 4, PANEL_BYTES = 512 * 1024 };

int64_t attended;

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

size_t aligned(size_t size) { return (size + 63) / 64 * 64; }

struct activations lay_out(char *memory, int columns, int blocks) {
    const size_t cells = (size_t)columns * (size_t)blocks;
    struct activations activations = {columns, blocks, NULL, NULL, NULL};
    activations.values = (int8_t *)memory;
    activations.biases = (int32_t *)(memory + cells * BLOCK);
    activations.scales = (float *)(activations.biases + cells * BIASES);
    return activations;
}

size_t activation_bytes(size_t cells) { return aligned(cells * (BLOCK + BIASES * sizeof(int32_t) + sizeof(float))); }

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

/* Rows of queries that share a head of keys. */
static int group_of(const struct tensor *result) { return (int)(result->src[0]->ne[2] / result->src[1]->ne[2]); }

/* Rows of queries by head of keys, in as many parts as there are threads to take them. */
static void attend(const struct tensor *result, int threads, int64_t *next) {
    const struct tensor *queries = result->src[0], *keys = result->src[1], *values = result->src[2],
                        *mask = result->src[3];
    struct attention attention = {
        .queries = queries->data,
        .keys = keys->data,
        .values = values->data,
        .mask = mask ? mask->data : NULL,
        .query_token = queries->nb[1],
        .query_head = queries->nb[2],
        .key_cell = keys->nb[1],
        .key_head = keys->nb[2],
        .value_cell = values->nb[1],
        .value_head = values->nb[2],
        .mask_token = mask ? mask->nb[1] : 0,
        .result = result->data,
        .result_token = result->nb[2],
        .result_head = result->nb[1],
        .cells = (int)keys->ne[1],
        .width = (int)queries->ne[0],
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
    float (*products)[ROWS] =
        (float (*)[ROWS])(state->memory + state->products_at + state->products_size * (size_t)thread);
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

int compute(backend_t backend, graph_t graph) {
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

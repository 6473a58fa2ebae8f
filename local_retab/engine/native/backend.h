/* The parts of the backend: which operations it takes, how it computes them, and where its weights lie. */

#ifndef LOCAL_RETAB_BACKEND_H
#define LOCAL_RETAB_BACKEND_H

#include "plugin.h"
#include "rows.h"

#define EXPORTED __attribute__((visibility("default")))

extern struct host host;
extern const struct kernels *kernels;
/* Whether other operations than products are taken, in this thread: only beside weights of our own. */
extern _Thread_local bool taking;
/* How many times attention was computed here; for tests. */
extern int64_t attended;

struct state {
    int threads;
    char *memory; /* the activations of a product, then the products of each thread */
    size_t size;
    size_t products_at, products_size;
};

/* supports.c */

/* An `enum weight_type`, WEIGHT_TYPES where it is none. */
int weight_type(const struct tensor *weights);

/* Whether such weights can lie interleaved, and whether they do. */
bool is_suitable(const struct tensor *weights);
bool is_interleaved(const struct tensor *weights);

bool supports(device_t device, const struct tensor *result);

/* compute.c */

int compute(backend_t backend, graph_t graph);

size_t aligned(size_t size);
size_t activation_bytes(size_t cells);
struct activations lay_out(char *memory, int columns, int blocks);

/* weights.c */

extern struct buffer_type weights_type;

#endif

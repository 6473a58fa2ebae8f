/* Products of quantised weights with columns of activations; one implementation for each kind of processor.

   Weights come in ggml's blocks of 256 ("K-quants", ggml-common.h): Q4_K, Q5_K and Q6_K. `interleave` lays sixteen rows
   of them side by side, in as many bytes, so that one vector holds four values of each row. Activations are quantised
   to eight bits by blocks of 256 as ggml does (Q8_K), so that both come to the same whole numbers; only the order in
   which the parts of a row are added differs. */

#ifndef LOCAL_RETAB_ROWS_H
#define LOCAL_RETAB_ROWS_H

#include "attention.h"

#include <stdint.h>

enum { BLOCK = 256, ROWS = 16, FOURS = BLOCK / 4, BIASES = 16 };

enum weight_type { WEIGHT_Q4_K, WEIGHT_Q5_K, WEIGHT_Q6_K, WEIGHT_TYPES };

/* Bytes of a block of one row. */
static const int weight_block_bytes[WEIGHT_TYPES] = {144, 176, 210};

/* Where the parts of a block of sixteen rows begin, in bytes: vectors of 64 bytes are [row][4]. */
enum {
    /* Q4_K and Q5_K: scales, scales of the minima (16 of 16 bits each), then [12][16] packed six bits. */
    K_MINIMA = 32,
    K_PACKED = 64,
    K_QUANTS = 256,         /* 32 vectors, two values a byte */
    Q5_K_HIGH = 256 + 2048, /* 8 vectors, a bit for each of 8 values */
    /* Q6_K: [16][16] scales of 8 bits between these. */
    Q6_K_LOW = 288,         /* 32 vectors, two values a byte */
    Q6_K_HIGH = 288 + 2048, /* 16 vectors, four values a byte */
    Q6_K_SCALES = 32,
};

/* Columns of activations, block by block. */
struct activations {
    int columns;
    int blocks;
    int8_t *values; /* [blocks][columns][256] */
    /* [blocks][columns][16]. Q4_K, Q5_K: four pairs of 16 bits, sums of 32 values; Q6_K: -32 times the sums of 16. */
    int32_t *biases;
    float *scales; /* [blocks][columns] */
};

struct kernels {
    const char *name;
    /* One block of one column: 256 floats to values, biases and a scale. */
    void (*quantise)(enum weight_type type, const float *source, int8_t *values, int32_t *biases, float *scale);
    /* The products of sixteen interleaved rows with columns `from` to `to`: products[column - from][row]. */
    void (*multiply)(enum weight_type type, const uint8_t *rows, const struct activations *activations, int from,
                     int to, float (*products)[ROWS]);
    attend_function *attend;
};

/* Sixteen rows of `blocks` blocks each, one after the other, to the layout above. */
void interleave(enum weight_type type, const uint8_t *source, uint8_t *target, int blocks);

/* NULL where this processor has no such instructions. */
const struct kernels *avx512_kernels(void);
const struct kernels *avx2_kernels(void);

#endif

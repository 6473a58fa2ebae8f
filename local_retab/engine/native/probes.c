/* What tests call. */

#include "backend.h"

#include <stdlib.h>
#include <string.h>

/* From now on compute with the kernels of that name. False where this processor has none. */
EXPORTED bool local_retab_choose(const char *name) {
    const struct kernels *all[] = {avx512_kernels(), avx2_kernels()};
    for (size_t index = 0; index < sizeof all / sizeof *all; index++) {
        if (all[index] && strcmp(all[index]->name, name) == 0) {
            kernels = all[index];
            return true;
        }
    }
    return false;
}

/* How many times attention was computed here. */
EXPORTED int64_t local_retab_attended(void) { return attended; }

/* The products of sixteen rows, as they are in a file, with columns of 256 * blocks floats. False: there is no memory.
 */
EXPORTED bool local_retab_products(int type, const uint8_t *rows, int blocks, const float *source, int columns,
                                   float (*products)[ROWS]) {
    const size_t bytes = (size_t)blocks * (size_t)weight_block_bytes[type] * ROWS;
    const size_t cells = (size_t)blocks * (size_t)columns;
    char *memory = aligned_alloc(64, activation_bytes(cells) + aligned(bytes));
    if (!memory) {
        return false;
    }
    const struct activations activations = lay_out(memory, columns, blocks);
    uint8_t *interleaved = (uint8_t *)memory + activation_bytes(cells);
    interleave((enum weight_type)type, rows, interleaved, blocks);
    for (size_t cell = 0; cell < cells; cell++) {
        const float *from = source + (cell % (size_t)columns * (size_t)blocks + cell / (size_t)columns) * BLOCK;
        kernels->quantise((enum weight_type)type, from, activations.values + cell * BLOCK,
                          activations.biases + cell * BIASES, activations.scales + cell);
    }
    kernels->multiply((enum weight_type)type, interleaved, &activations, 0, columns, products);
    free(memory);
    return true;
}

/* Attention of one head of keys: queries and results [token][group][width], keys and values [cell][width], the mask
   [token][cell]. */
EXPORTED void local_retab_attention(const float *queries, const uint16_t *keys, const uint16_t *values,
                                    const uint16_t *mask, float *result, int tokens, int group, int cells, int width,
                                    float scale) {
    const size_t head = sizeof(float) * (size_t)width, cell = sizeof(uint16_t) * (size_t)width;
    const struct attention attention = {
        .queries = (const char *)queries,
        .keys = (const char *)keys,
        .values = (const char *)values,
        .mask = (const char *)mask,
        .query_token = head * (size_t)group,
        .query_head = head,
        .key_cell = cell,
        .value_cell = cell,
        .mask_token = sizeof(uint16_t) * (size_t)cells,
        .result = (char *)result,
        .result_token = head * (size_t)group,
        .result_head = head,
        .scale = scale,
        .cells = cells,
        .width = width,
        .group = group,
    };
    for (int row = 0; row < tokens * group; row += QUERY_ROWS) {
        const int rest = tokens * group - row;
        kernels->attend(&attention, 0, row, row + (rest < QUERY_ROWS ? rest : QUERY_ROWS));
    }
}

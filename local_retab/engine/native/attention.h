/* Attention over keys and values of 16 bits, for the rows of queries that share a head of keys. */

#ifndef LOCAL_RETAB_ATTENTION_H
#define LOCAL_RETAB_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

/* Cells are taken in steps of CELL_STEP, of which the last may be less, but whole GRAINS; QUERY_ROWS at once at most.
 */
enum { GRAIN = 16, CELL_STEP = 64, QUERY_ROWS = 64, WIDEST_HEAD = 128 };

/* Steps are in bytes. A row of queries is token * group + head within the group. */
struct attention {
    const char *queries, *keys, *values, *mask; /* floats, 16 bits, 16 bits, 16 bits; mask NULL: all are seen */
    size_t query_token, query_head, key_cell, key_head, value_cell, value_head, mask_token;
    char *result; /* floats */
    size_t result_token, result_head;
    float scale;
    int cells, width, group;
};

/* Softmax(scale * queries * keys + mask) * values for rows `from` to `to` of one head of keys, at most QUERY_ROWS.
   The softmax is that of FlashAttention (Dao et al., 2022, https://arxiv.org/abs/2205.14135): by parts, with the
   greatest score so far. Widths: 64 and 128. */
typedef void attend_function(const struct attention *attention, int key_head, int from, int to);

/* Which processor has their instructions, avx512_kernels and avx2_kernels say. */
attend_function avx512_attend, avx2_attend;

#endif

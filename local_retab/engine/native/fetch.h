/* Weights are asked for before they are needed: the processor does not see far enough ahead by itself. */

#ifndef LOCAL_RETAB_FETCH_H
#define LOCAL_RETAB_FETCH_H

#include "rows.h"
#include "unroll.h"

#include <stddef.h>

enum { AHEAD = 4096, LINE = 64 };

/* While a block is unpacked. The processor drops requests when it has too many, so each is made twice: calls of one to
   eight tokens take a sixth less time than with one. */
INLINE void fetch_ahead(const uint8_t *source) {
    __builtin_prefetch(source + 2 * AHEAD, 0, 3);
    __builtin_prefetch(source + AHEAD, 0, 3);
}

/* One of `parts` shares of the block that comes AHEAD of `block`, while that is multiplied with its first columns, when
   memory would have nothing to do: with AVX2 calls of one or two tokens take a quarter less time. NULL: nothing. */
INLINE void fetch_share(enum weight_type type, const uint8_t *block, int part, int parts) {
    const int lines = (weight_block_bytes[type] * ROWS / LINE + parts - 1) / parts;
    if (block) {
        UNROLL for (int line = 0; line < lines; line++) {
            __builtin_prefetch(block + AHEAD + LINE * (lines * part + line), 0, 3);
        }
    }
}

#endif

/* Sixteen rows of weights side by side. */

#include "rows.h"

#include <string.h>

/* `count` fours of bytes of each row to as many vectors. */
static void fours(const uint8_t *source, int64_t row_bytes, int count, uint8_t *target) {
    for (int row = 0; row < ROWS; row++) {
        for (int four = 0; four < count; four++) {
            memcpy(target + 64 * four + 4 * row, source + row * row_bytes + 4 * four, 4);
        }
    }
}

static void bytes(const uint8_t *source, int64_t row_bytes, int count, uint8_t *target) {
    for (int row = 0; row < ROWS; row++) {
        for (int index = 0; index < count; index++) {
            target[ROWS * index + row] = source[row * row_bytes + index];
        }
    }
}

static void halves(const uint8_t *source, int64_t row_bytes, uint8_t *target) {
    for (int row = 0; row < ROWS; row++) {
        memcpy(target + 2 * row, source + row * row_bytes, 2);
    }
}

void interleave(enum weight_type type, const uint8_t *source, uint8_t *target, int blocks) {
    const int64_t row_bytes = (int64_t)blocks * weight_block_bytes[type];
    for (int block = 0; block < blocks; block++) {
        const uint8_t *from = source + (int64_t)block * weight_block_bytes[type];
        uint8_t *to = target + (int64_t)block * weight_block_bytes[type] * ROWS;
        if (type == WEIGHT_Q6_K) {
            halves(from + 208, row_bytes, to);
            bytes(from + 192, row_bytes, 16, to + Q6_K_SCALES);
            fours(from, row_bytes, 32, to + Q6_K_LOW);
            fours(from + 128, row_bytes, 16, to + Q6_K_HIGH);
            continue;
        }
        halves(from, row_bytes, to);
        halves(from + 2, row_bytes, to + K_MINIMA);
        bytes(from + 4, row_bytes, 12, to + K_PACKED);
        fours(from + (type == WEIGHT_Q5_K ? 48 : 16), row_bytes, 32, to + K_QUANTS);
        if (type == WEIGHT_Q5_K) {
            fours(from + 16, row_bytes, 8, to + Q5_K_HIGH);
        }
    }
}

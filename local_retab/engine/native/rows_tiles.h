/* What both kinds of vectors share: the columns of a product in tiles. Included where `struct block`,
   `unpack_four_bits`, `unpack_six_bits`, `columns_as`, MOST (columns of a tile) and `tile_columns` are. */

INLINE void columns(int count, enum weight_type type, const struct block *block, const int8_t *values,
                    const int32_t *biases, const float *scales, float (*products)[ROWS], const uint8_t *fetched) {
    switch (count) {
#define CASE(number)                                                                                                   \
    case number:                                                                                                       \
        columns_as(number < MOST ? number : MOST, type, block, values, biases, scales, products, fetched);             \
        break
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
#undef CASE
    default:
        columns_as(MOST, type, block, values, biases, scales, products, fetched);
    }
}

INLINE void multiply_as(enum weight_type type, const uint8_t *rows, const struct activations *activations, int from,
                        int to, float (*products)[ROWS]) {
    struct block block;
    const int most = tile_columns(to - from), tiles = (to - from + most - 1) / most;
    memset(products, 0, sizeof *products * (size_t)(to - from));
    for (int index = 0; index < activations->blocks; index++) {
        const uint8_t *source = rows + (int64_t)index * weight_block_bytes[type] * ROWS;
        if (type == WEIGHT_Q6_K) {
            unpack_six_bits(source, &block);
        } else {
            unpack_four_bits(type, source, &block);
        }
        const int64_t cell = (int64_t)index * activations->columns;
        for (int tile = 0; tile < tiles; tile++) {
            const int column = from + (to - from) * tile / tiles, next = from + (to - from) * (tile + 1) / tiles;
            columns(next - column, type, &block, activations->values + (cell + column) * BLOCK,
                    activations->biases + (cell + column) * BIASES, activations->scales + cell + column,
                    products + column - from, tile == 0 ? source : NULL);
        }
    }
}

static void multiply(enum weight_type type, const uint8_t *rows, const struct activations *activations, int from,
                     int to, float (*products)[ROWS]) {
    if (type == WEIGHT_Q4_K) {
        multiply_as(WEIGHT_Q4_K, rows, activations, from, to, products);
    } else if (type == WEIGHT_Q5_K) {
        multiply_as(WEIGHT_Q5_K, rows, activations, from, to, products);
    } else {
        multiply_as(WEIGHT_Q6_K, rows, activations, from, to, products);
    }
}

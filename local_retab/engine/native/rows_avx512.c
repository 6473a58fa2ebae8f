/* The products for processors with AVX-512 and its eight-bit dot products (VNNI).

   A vector has four values of each of sixteen rows; four values of a column are spread to all its lanes. So a step
   multiplies 64 values, sums need not be gathered from lanes, and a block is unpacked once for all columns. */

#include "fetch.h"

#include <immintrin.h>
#include <string.h>

/* A block of sixteen rows, unpacked. */
struct block {
    __m512i weights[FOURS];
    __m512i scales[16]; /* of 32 bits, for each row: of 32 values, or of 16 in Q6_K */
    __m512i minima[4];  /* pairs of 16 bits, for each row */
    __m512 scale, minimum;
};

static inline __m512 halves(const uint8_t *source) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)source));
}

static inline __m512i spread(const void *source) {
    int32_t value;
    memcpy(&value, source, sizeof value);
    return _mm512_set1_epi32(value);
}

static inline __m512i load_ahead(const uint8_t *source) {
    fetch_ahead(source);
    return _mm512_loadu_si512(source);
}

/* Eight scales and eight minima of six bits. */
static inline void unpack_scales(const uint8_t *packed, struct block *block) {
    const __m512i six = _mm512_set1_epi8(0x3f), four = _mm512_set1_epi8(0x0f), two = _mm512_set1_epi8(0x30);
    const __m512i first = _mm512_loadu_si512(packed), second = _mm512_loadu_si512(packed + 64),
                  third = _mm512_loadu_si512(packed + 128);
    uint8_t scales[2][4][16], minima[2][4][16];
    _mm512_storeu_si512(scales[0], _mm512_and_si512(first, six));
    _mm512_storeu_si512(
        scales[1], _mm512_or_si512(_mm512_and_si512(third, four), _mm512_and_si512(_mm512_srli_epi16(first, 2), two)));
    _mm512_storeu_si512(minima[0], _mm512_and_si512(second, six));
    _mm512_storeu_si512(minima[1], _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(third, 4), four),
                                                   _mm512_and_si512(_mm512_srli_epi16(second, 2), two)));
    for (int index = 0; index < 8; index++) {
        block->scales[index] = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)scales[index / 4][index % 4]));
    }
    for (int pair = 0; pair < 4; pair++) {
        const __m128i even = _mm_loadu_si128((const __m128i *)minima[pair / 2][pair % 2 * 2]);
        const __m128i odd = _mm_loadu_si128((const __m128i *)minima[pair / 2][pair % 2 * 2 + 1]);
        block->minima[pair] = _mm512_cvtepu8_epi16(_mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_unpacklo_epi8(even, odd)), _mm_unpackhi_epi8(even, odd), 1));
    }
}

INLINE void unpack_four_bits(enum weight_type type, const uint8_t *rows, struct block *block) {
    const __m512i nibble = _mm512_set1_epi8(0x0f), sixteen = _mm512_set1_epi8(0x10);
    for (int place = 0; place < K_QUANTS; place += 64) {
        fetch_ahead(rows + place);
    }
    block->scale = halves(rows);
    block->minimum = halves(rows + K_MINIMA);
    unpack_scales(rows + K_PACKED, block);
    for (int part = 0; part < 4; part++) {
        UNROLL for (int four = 0; four < 8; four++) {
            const __m512i both = load_ahead(rows + K_QUANTS + 64 * (8 * part + four));
            __m512i first = _mm512_and_si512(both, nibble);
            __m512i second = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
            if (type == WEIGHT_Q5_K) {
                const __m512i high =
                    _mm512_srl_epi16(_mm512_loadu_si512(rows + Q5_K_HIGH + 64 * four), _mm_cvtsi32_si128(2 * part));
                first = _mm512_or_si512(first, _mm512_and_si512(_mm512_slli_epi16(high, 4), sixteen));
                second = _mm512_or_si512(second, _mm512_and_si512(_mm512_slli_epi16(high, 3), sixteen));
            }
            block->weights[16 * part + four] = first;
            block->weights[16 * part + 8 + four] = second;
        }
    }
}

static inline void unpack_six_bits(const uint8_t *rows, struct block *block) {
    const __m512i nibble = _mm512_set1_epi8(0x0f), two = _mm512_set1_epi8(0x30);
    for (int place = 0; place < Q6_K_LOW; place += 64) {
        fetch_ahead(rows + place);
    }
    block->scale = halves(rows);
    for (int index = 0; index < 16; index++) {
        block->scales[index] =
            _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(rows + Q6_K_SCALES + 16 * index)));
    }
    for (int half = 0; half < 2; half++) {
        for (int four = 0; four < 8; four++) {
            const __m512i near = load_ahead(rows + Q6_K_LOW + 64 * (16 * half + four));
            const __m512i far = load_ahead(rows + Q6_K_LOW + 64 * (16 * half + 8 + four));
            const __m512i high = load_ahead(rows + Q6_K_HIGH + 64 * (8 * half + four));
            __m512i *target = block->weights + 32 * half + four;
            target[0] =
                _mm512_or_si512(_mm512_and_si512(near, nibble), _mm512_and_si512(_mm512_slli_epi16(high, 4), two));
            target[8] =
                _mm512_or_si512(_mm512_and_si512(far, nibble), _mm512_and_si512(_mm512_slli_epi16(high, 2), two));
            target[16] =
                _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(near, 4), nibble), _mm512_and_si512(high, two));
            target[24] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(far, 4), nibble),
                                         _mm512_and_si512(_mm512_srli_epi16(high, 2), two));
        }
    }
}

enum { MOST = 8 };

/* `count` columns (a constant) from `values`, `biases` and `scales` on, added to `products`; `fetched` is what
   fetch_share takes. */
INLINE void columns_as(int count, enum weight_type type, const struct block *block, const int8_t *values,
                       const int32_t *biases, const float *scales, float (*products)[ROWS], const uint8_t *fetched) {
    __m512i totals[MOST];
    UNROLL for (int column = 0; column < count; column++) { totals[column] = _mm512_setzero_si512(); }
    if (type == WEIGHT_Q6_K) {
        for (int part = 0; part < 16; part++) {
            const __m512i *weights = block->weights + 4 * part;
            fetch_share(type, fetched, part, 16);
            UNROLL for (int column = 0; column < count; column++) {
                __m512i sums = spread(biases + BIASES * column + part);
                UNROLL for (int four = 0; four < 4; four++) {
                    sums = _mm512_dpbusd_epi32(sums, weights[four],
                                               spread(values + BLOCK * column + 16 * part + 4 * four));
                }
                totals[column] = _mm512_add_epi32(totals[column], _mm512_mullo_epi32(sums, block->scales[part]));
            }
        }
    } else {
        for (int part = 0; part < 8; part++) {
            const __m512i *weights = block->weights + 8 * part;
            fetch_share(type, fetched, part, 8);
            UNROLL for (int column = 0; column < count; column++) {
                __m512i sums = _mm512_setzero_si512();
                UNROLL for (int four = 0; four < 8; four++) {
                    sums = _mm512_dpbusd_epi32(sums, weights[four],
                                               spread(values + BLOCK * column + 32 * part + 4 * four));
                }
                totals[column] = _mm512_add_epi32(totals[column], _mm512_mullo_epi32(sums, block->scales[part]));
            }
        }
    }
    UNROLL for (int column = 0; column < count; column++) {
        const __m512 scale = _mm512_set1_ps(scales[column]);
        __m512 sum = _mm512_loadu_ps(products[column]);
        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(totals[column]), _mm512_mul_ps(block->scale, scale), sum);
        if (type != WEIGHT_Q6_K) {
            __m512i least = _mm512_setzero_si512();
            UNROLL for (int pair = 0; pair < 4; pair++) {
                least = _mm512_dpwssd_epi32(least, block->minima[pair], spread(biases + BIASES * column + pair));
            }
            sum = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(least), _mm512_mul_ps(block->minimum, scale), sum);
        }
        _mm512_storeu_ps(products[column], sum);
    }
}

static inline int tile_columns(int count) {
    (void)count;
    return MOST;
}

#include "rows_tiles.h"

static void quantise(enum weight_type type, const float *source, int8_t *values, int32_t *biases, float *scale) {
    __m512 greatest = _mm512_setzero_ps();
    for (int index = 0; index < BLOCK; index += 16) {
        greatest = _mm512_max_ps(greatest, _mm512_abs_ps(_mm512_loadu_ps(source + index)));
    }
    const float most = _mm512_reduce_max_ps(greatest);
    const __m512 inverse = _mm512_set1_ps(most > 0 ? 127.0f / most : 0.0f);
    int32_t sums[16];
    *scale = most / 127.0f;
    for (int part = 0; part < 16; part++) {
        const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(source + 16 * part), inverse));
        _mm_storeu_si128((__m128i *)(values + 16 * part), _mm512_cvtepi32_epi8(whole));
        sums[part] = _mm512_reduce_add_epi32(whole);
    }
    if (type == WEIGHT_Q6_K) {
        _mm512_storeu_si512(biases, _mm512_mullo_epi32(_mm512_loadu_si512(sums), _mm512_set1_epi32(-32)));
    } else {
        int16_t pairs[8];
        for (int part = 0; part < 8; part++) {
            pairs[part] = (int16_t)(sums[2 * part] + sums[2 * part + 1]);
        }
        memcpy(biases, pairs, sizeof pairs);
    }
}

const struct kernels *avx512_kernels(void) {
    static const struct kernels kernels = {"AVX-512", quantise, multiply, avx512_attend};
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vnni")
               ? &kernels
               : NULL;
}

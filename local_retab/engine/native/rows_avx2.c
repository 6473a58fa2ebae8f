/* The products for processors with AVX2 alone.

   Products of bytes come in sums of two, of sixteen bits. As many of them are added as cannot overflow; then one
   instruction multiplies with the scale and adds to 32 bits. */

#include "fetch.h"

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

/* The compiler has to have the value here: else it puts off sums until they are used, and runs out of registers. */
#define KEEP(value) __asm__("" : "+x"(value))

enum { HALVES = 2, MOST = 4 };

/* A block of sixteen rows, unpacked: eight rows in each half. */
struct block {
    __m256i weights[FOURS][HALVES];
    __m256i scales[16][HALVES]; /* of 16 bits, twice for each row: of 32 values, or of 16 in Q6_K */
    __m256i pairs[8][HALVES];   /* of 16 bits, for each row: two minima, or two scales in Q6_K */
    __m256 scale[HALVES], minimum[HALVES];
};

static inline __m256i load(const uint8_t *source) { return _mm256_loadu_si256((const __m256i *)source); }

static inline __m256i spread(const void *source) {
    int32_t value;
    memcpy(&value, source, sizeof value);
    return _mm256_set1_epi32(value);
}

static inline void halves(const uint8_t *source, __m256 target[HALVES]) {
    for (int half = 0; half < HALVES; half++) {
        target[half] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(source + 16 * half)));
    }
}

/* Two values of eight bits for each of sixteen rows to pairs of sixteen bits. */
static inline void pair(__m128i first, __m128i second, int is_signed, __m256i target[HALVES]) {
    const __m128i low = _mm_unpacklo_epi8(first, second), high = _mm_unpackhi_epi8(first, second);
    target[0] = is_signed ? _mm256_cvtepi8_epi16(low) : _mm256_cvtepu8_epi16(low);
    target[1] = is_signed ? _mm256_cvtepi8_epi16(high) : _mm256_cvtepu8_epi16(high);
}

static inline void unpack_scales(const uint8_t *packed, struct block *block) {
    const __m128i six = _mm_set1_epi8(0x3f), four = _mm_set1_epi8(0x0f), two = _mm_set1_epi8(0x30);
    __m128i scales[8], minima[8];
    for (int index = 0; index < 4; index++) {
        const __m128i first = _mm_loadu_si128((const __m128i *)(packed + 16 * index));
        const __m128i second = _mm_loadu_si128((const __m128i *)(packed + 64 + 16 * index));
        const __m128i third = _mm_loadu_si128((const __m128i *)(packed + 128 + 16 * index));
        scales[index] = _mm_and_si128(first, six);
        minima[index] = _mm_and_si128(second, six);
        scales[4 + index] = _mm_or_si128(_mm_and_si128(third, four), _mm_and_si128(_mm_srli_epi16(first, 2), two));
        minima[4 + index] =
            _mm_or_si128(_mm_and_si128(_mm_srli_epi16(third, 4), four), _mm_and_si128(_mm_srli_epi16(second, 2), two));
    }
    for (int index = 0; index < 8; index++) {
        pair(scales[index], scales[index], 0, block->scales[index]);
    }
    for (int index = 0; index < 4; index++) {
        pair(minima[2 * index], minima[2 * index + 1], 0, block->pairs[index]);
    }
}

INLINE void unpack_four_bits(enum weight_type type, const uint8_t *rows, struct block *block) {
    const __m256i nibble = _mm256_set1_epi8(0x0f), sixteen = _mm256_set1_epi8(0x10);
    for (int place = 0; place < K_QUANTS; place += 64) {
        fetch_ahead(rows + place);
    }
    halves(rows, block->scale);
    halves(rows + K_MINIMA, block->minimum);
    unpack_scales(rows + K_PACKED, block);
    for (int part = 0; part < 4; part++) {
        for (int four = 0; four < 8; four++) {
            const uint8_t *source = rows + K_QUANTS + 64 * (8 * part + four);
            fetch_ahead(source);
            UNROLL for (int half = 0; half < HALVES; half++) {
                const __m256i both = load(source + 32 * half);
                __m256i first = _mm256_and_si256(both, nibble);
                __m256i second = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
                if (type == WEIGHT_Q5_K) {
                    const __m256i high =
                        _mm256_srl_epi16(load(rows + Q5_K_HIGH + 64 * four + 32 * half), _mm_cvtsi32_si128(2 * part));
                    first = _mm256_or_si256(first, _mm256_and_si256(_mm256_slli_epi16(high, 4), sixteen));
                    second = _mm256_or_si256(second, _mm256_and_si256(_mm256_slli_epi16(high, 3), sixteen));
                }
                block->weights[16 * part + four][half] = first;
                block->weights[16 * part + 8 + four][half] = second;
            }
        }
    }
}

static inline void unpack_six_bits(const uint8_t *rows, struct block *block) {
    const __m256i nibble = _mm256_set1_epi8(0x0f), two = _mm256_set1_epi8(0x30);
    for (int place = 0; place < Q6_K_LOW; place += 64) {
        fetch_ahead(rows + place);
    }
    halves(rows, block->scale);
    for (int index = 0; index < 16; index++) {
        const __m128i scales = _mm_loadu_si128((const __m128i *)(rows + Q6_K_SCALES + 16 * index));
        pair(scales, scales, 1, block->scales[index]);
        if (index % 2 == 1) {
            pair(_mm_loadu_si128((const __m128i *)(rows + Q6_K_SCALES + 16 * (index - 1))), scales, 1,
                 block->pairs[index / 2]);
        }
    }
    for (int part = 0; part < 2; part++) {
        for (int four = 0; four < 8; four++) {
            const uint8_t *source = rows + Q6_K_LOW + 64 * (16 * part + four);
            fetch_ahead(source);
            fetch_ahead(source + 512);
            fetch_ahead(rows + Q6_K_HIGH + 64 * (8 * part + four));
            UNROLL for (int half = 0; half < HALVES; half++) {
                const __m256i near = load(source + 32 * half), far = load(source + 512 + 32 * half);
                const __m256i high = load(rows + Q6_K_HIGH + 64 * (8 * part + four) + 32 * half);
                __m256i(*target)[HALVES] = block->weights + 32 * part + four;
                target[0][half] =
                    _mm256_or_si256(_mm256_and_si256(near, nibble), _mm256_and_si256(_mm256_slli_epi16(high, 4), two));
                target[8][half] =
                    _mm256_or_si256(_mm256_and_si256(far, nibble), _mm256_and_si256(_mm256_slli_epi16(high, 2), two));
                target[16][half] =
                    _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(near, 4), nibble), _mm256_and_si256(high, two));
                target[24][half] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(far, 4), nibble),
                                                   _mm256_and_si256(_mm256_srli_epi16(high, 2), two));
            }
        }
    }
}

/* `count` columns (a constant) from `values`, `biases` and `scales` on, added to `products`; `fetched` is what
   fetch_share takes. */
INLINE void columns_as(int count, enum weight_type type, const struct block *block, const int8_t *values,
                       const int32_t *biases, const float *scales, float (*products)[ROWS], const uint8_t *fetched) {
    /* Sums of two products are below 2 * 127 times 16, 32 or 64: so many of them fit sixteen bits. */
    const int run = type == WEIGHT_Q4_K ? 8 : type == WEIGHT_Q5_K ? 4 : 2;
    const int fours_a_scale = type == WEIGHT_Q6_K ? 4 : 8, pairs = type == WEIGHT_Q6_K ? 8 : 4;
    __m256i totals[MOST][HALVES];
    UNROLL for (int column = 0; column < count; column++) {
        totals[column][0] = totals[column][1] = _mm256_setzero_si256();
    }
    for (int begin = 0; begin < FOURS; begin += run) {
        fetch_share(type, fetched, begin / run, FOURS / run);
        __m256i sums[MOST][HALVES];
        UNROLL for (int four = 0; four < run; four++) {
            const __m256i *weights = block->weights[begin + four];
            UNROLL for (int column = 0; column < count; column++) {
                const __m256i value = spread(values + BLOCK * column + 4 * (begin + four));
                UNROLL for (int half = 0; half < HALVES; half++) {
                    const __m256i product = _mm256_maddubs_epi16(weights[half], value);
                    sums[column][half] = four == 0 ? product : _mm256_add_epi16(sums[column][half], product);
                    KEEP(sums[column][half]);
                }
            }
        }
        const __m256i *part_scales = block->scales[begin / fours_a_scale];
        UNROLL for (int column = 0; column < count; column++) {
            UNROLL for (int half = 0; half < HALVES; half++) {
                totals[column][half] =
                    _mm256_add_epi32(totals[column][half], _mm256_madd_epi16(sums[column][half], part_scales[half]));
                KEEP(totals[column][half]);
            }
        }
    }
    UNROLL for (int column = 0; column < count; column++) {
        const __m256 scale = _mm256_set1_ps(scales[column]);
        UNROLL for (int half = 0; half < HALVES; half++) {
            __m256i least = _mm256_setzero_si256();
            for (int index = 0; index < pairs; index++) {
                least = _mm256_add_epi32(
                    least, _mm256_madd_epi16(block->pairs[index][half], spread(biases + BIASES * column + index)));
            }
            float *target = products[column] + 8 * half;
            __m256 sum = _mm256_loadu_ps(target);
            __m256i total = totals[column][half];
            if (type == WEIGHT_Q6_K) {
                total = _mm256_sub_epi32(total, _mm256_slli_epi32(least, 5));
            } else {
                sum = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(least), _mm256_mul_ps(block->minimum[half], scale), sum);
            }
            sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), _mm256_mul_ps(block->scale[half], scale), sum);
            _mm256_storeu_ps(target, sum);
        }
    }
}

/* Four columns need more registers than there are: better than two tiles, worse than one of three. */
static inline int tile_columns(int count) { return count == MOST ? MOST : MOST - 1; }

#include "rows_tiles.h"

static float greatest(const float *source) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 most = _mm256_setzero_ps();
    for (int index = 0; index < BLOCK; index += 8) {
        most = _mm256_max_ps(most, _mm256_andnot_ps(sign, _mm256_loadu_ps(source + index)));
    }
    float lanes[8], result = 0;
    _mm256_storeu_ps(lanes, most);
    for (int lane = 0; lane < 8; lane++) {
        result = lanes[lane] > result ? lanes[lane] : result;
    }
    return result;
}

static void quantise(enum weight_type type, const float *source, int8_t *values, int32_t *biases, float *scale) {
    const float most = greatest(source);
    const __m256 inverse = _mm256_set1_ps(most > 0 ? 127.0f / most : 0.0f);
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    int16_t sums[8][2]; /* of 16 values each */
    *scale = most / 127.0f;
    for (int part = 0; part < 8; part++) {
        __m256i whole[4];
        UNROLL for (int eight = 0; eight < 4; eight++) {
            whole[eight] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(source + 32 * part + 8 * eight), inverse));
        }
        const __m256i low = _mm256_packs_epi32(whole[0], whole[1]), high = _mm256_packs_epi32(whole[2], whole[3]);
        const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), in_order);
        _mm256_storeu_si256((__m256i *)(values + 32 * part), bytes);
        UNROLL for (int index = 0; index < 2; index++) {
            int32_t lanes[8], sum = 0;
            _mm256_storeu_si256((__m256i *)lanes, _mm256_add_epi32(whole[2 * index], whole[2 * index + 1]));
            for (int lane = 0; lane < 8; lane++) {
                sum += lanes[lane];
            }
            sums[part][index] = (int16_t)sum;
        }
    }
    if (type != WEIGHT_Q6_K) {
        int16_t whole_parts[8];
        for (int part = 0; part < 8; part++) {
            whole_parts[part] = (int16_t)(sums[part][0] + sums[part][1]);
        }
        memcpy(biases, whole_parts, sizeof whole_parts);
    } else {
        memcpy(biases, sums, sizeof sums);
    }
}

const struct kernels *avx2_kernels(void) {
    static const struct kernels kernels = {"AVX2", quantise, multiply, avx2_attend};
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") ? &kernels
                                                                                                             : NULL;
}

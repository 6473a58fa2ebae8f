/* Attention with AVX-512. */

#include "attention.h"
#include "unroll.h"

#include <immintrin.h>

enum { LANES = 16, SCORED = 8, GATHERED = 8 };

typedef __m512 lanes;

static inline lanes load(const float *source) { return _mm512_loadu_ps(source); }
static inline void store(float *target, lanes value) { _mm512_storeu_ps(target, value); }
static inline lanes widen(const char *source) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)source)); }
static inline lanes spread(float value) { return _mm512_set1_ps(value); }
static inline lanes add_product(lanes sum, lanes first, lanes second) { return _mm512_fmadd_ps(first, second, sum); }
static inline lanes greater(lanes first, lanes second) { return _mm512_max_ps(first, second); }
static inline float greatest_of(lanes values) { return _mm512_reduce_max_ps(values); }
static inline float sum_of(lanes values) { return _mm512_reduce_add_ps(values); }

static inline lanes where_seen(lanes score, lanes share) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(score, spread(-__builtin_inff()), _CMP_GT_OQ), share);
}

static inline lanes whole(lanes value) { return _mm512_roundscale_ps(value, 0); }
static inline lanes scaled(lanes value, lanes exponent) { return _mm512_scalef_ps(value, exponent); }

/* Sixteen vectors of sixteen to columns. */
static inline void transpose(lanes rows[LANES]) {
    lanes pairs[16];
    UNROLL for (int index = 0; index < 16; index += 2) {
        pairs[index] = _mm512_unpacklo_ps(rows[index], rows[index + 1]);
        pairs[index + 1] = _mm512_unpackhi_ps(rows[index], rows[index + 1]);
    }
    lanes fours[16]; /* [four rows][column within four lanes] */
    UNROLL for (int index = 0; index < 16; index += 4) {
        fours[index] = _mm512_shuffle_ps(pairs[index], pairs[index + 2], 0x44);
        fours[index + 1] = _mm512_shuffle_ps(pairs[index], pairs[index + 2], 0xee);
        fours[index + 2] = _mm512_shuffle_ps(pairs[index + 1], pairs[index + 3], 0x44);
        fours[index + 3] = _mm512_shuffle_ps(pairs[index + 1], pairs[index + 3], 0xee);
    }
    UNROLL for (int index = 0; index < 4; index++) {
        const lanes low = _mm512_shuffle_f32x4(fours[index], fours[4 + index], 0x88);
        const lanes odd_low = _mm512_shuffle_f32x4(fours[index], fours[4 + index], 0xdd);
        const lanes high = _mm512_shuffle_f32x4(fours[8 + index], fours[12 + index], 0x88);
        const lanes odd_high = _mm512_shuffle_f32x4(fours[8 + index], fours[12 + index], 0xdd);
        rows[index] = _mm512_shuffle_f32x4(low, high, 0x88);
        rows[8 + index] = _mm512_shuffle_f32x4(low, high, 0xdd);
        rows[4 + index] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
        rows[12 + index] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
    }
}

#include "attention_tiles.h"

void avx512_attend(const struct attention *attention, int key_head, int from, int to) {
    attend(attention, key_head, from, to);
}

/* Attention with AVX2. */

#include "attention.h"
#include "unroll.h"

#include <immintrin.h>

enum { LANES = 8, SCORED = 6, GATHERED = 4 };

typedef __m256 lanes;

static inline lanes load(const float *source) { return _mm256_loadu_ps(source); }
static inline void store(float *target, lanes value) { _mm256_storeu_ps(target, value); }
static inline lanes widen(const char *source) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)source)); }
static inline lanes spread(float value) { return _mm256_set1_ps(value); }
static inline lanes add_product(lanes sum, lanes first, lanes second) { return _mm256_fmadd_ps(first, second, sum); }
static inline lanes greater(lanes first, lanes second) { return _mm256_max_ps(first, second); }

static inline float greatest_of(lanes values) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

static inline float sum_of(lanes values) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

static inline lanes where_seen(lanes score, lanes share) {
    return _mm256_and_ps(_mm256_cmp_ps(score, spread(-__builtin_inff()), _CMP_GT_OQ), share);
}

static inline lanes whole(lanes value) { return _mm256_round_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/* The exponent is a whole number above -127: it is added to that of the float. */
static inline lanes scaled(lanes value, lanes exponent) {
    const __m256i bits = _mm256_slli_epi32(_mm256_cvtps_epi32(exponent), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(value), bits));
}

/* Eight vectors of eight to columns. */
static inline void transpose(lanes rows[LANES]) {
    lanes fours[8]; /* [four rows][column within four lanes] */
    UNROLL for (int index = 0; index < 8; index += 4) {
        const lanes low = _mm256_unpacklo_ps(rows[index], rows[index + 1]);
        const lanes high = _mm256_unpackhi_ps(rows[index], rows[index + 1]);
        const lanes next_low = _mm256_unpacklo_ps(rows[index + 2], rows[index + 3]);
        const lanes next_high = _mm256_unpackhi_ps(rows[index + 2], rows[index + 3]);
        fours[index] = _mm256_shuffle_ps(low, next_low, 0x44);
        fours[index + 1] = _mm256_shuffle_ps(low, next_low, 0xee);
        fours[index + 2] = _mm256_shuffle_ps(high, next_high, 0x44);
        fours[index + 3] = _mm256_shuffle_ps(high, next_high, 0xee);
    }
    UNROLL for (int index = 0; index < 4; index++) {
        rows[index] = _mm256_permute2f128_ps(fours[index], fours[4 + index], 0x20);
        rows[4 + index] = _mm256_permute2f128_ps(fours[index], fours[4 + index], 0x31);
    }
}

#include "attention_tiles.h"

void avx2_attend(const struct attention *attention, int key_head, int from, int to) {
    attend(attention, key_head, from, to);
}

/* Attention with AVX-512. Sixteen keys are turned so that a lane is a cell: scores need no sums over lanes. */

#include "attention.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

struct work {
    float queries[QUERY_ROWS][WIDEST_HEAD], totals[QUERY_ROWS][WIDEST_HEAD], scores[QUERY_ROWS][CELL_STEP];
    float cells[CELL_STEP * WIDEST_HEAD]; /* keys [cell / 16][width][16], then values [cell][width] */
    float greatest[QUERY_ROWS], sums[QUERY_ROWS];
};

static inline __m512 widen(const char *source) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)source)); }

/* e to the power of x, for x of 0 and less: 2^n times a polynomial in what is left (Taylor, of degree 6). */
static inline __m512 power(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-87.0f));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 sum = _mm512_set1_ps(1.0f / 720);
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f / 120));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f / 24));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f / 6));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.5f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(sum, n);
}

/* Sixteen vectors of sixteen to columns. */
static inline void transpose(__m512 rows[16]) {
    __m512 pairs[16];
    UNROLL for (int index = 0; index < 16; index += 2) {
        pairs[index] = _mm512_unpacklo_ps(rows[index], rows[index + 1]);
        pairs[index + 1] = _mm512_unpackhi_ps(rows[index], rows[index + 1]);
    }
    __m512 fours[16]; /* [four rows][column within four lanes] */
    UNROLL for (int index = 0; index < 16; index += 4) {
        fours[index] = _mm512_shuffle_ps(pairs[index], pairs[index + 2], 0x44);
        fours[index + 1] = _mm512_shuffle_ps(pairs[index], pairs[index + 2], 0xee);
        fours[index + 2] = _mm512_shuffle_ps(pairs[index + 1], pairs[index + 3], 0x44);
        fours[index + 3] = _mm512_shuffle_ps(pairs[index + 1], pairs[index + 3], 0xee);
    }
    UNROLL for (int index = 0; index < 4; index++) {
        const __m512 low = _mm512_shuffle_f32x4(fours[index], fours[4 + index], 0x88);
        const __m512 odd_low = _mm512_shuffle_f32x4(fours[index], fours[4 + index], 0xdd);
        const __m512 high = _mm512_shuffle_f32x4(fours[8 + index], fours[12 + index], 0x88);
        const __m512 odd_high = _mm512_shuffle_f32x4(fours[8 + index], fours[12 + index], 0xdd);
        rows[index] = _mm512_shuffle_f32x4(low, high, 0x88);
        rows[8 + index] = _mm512_shuffle_f32x4(low, high, 0xdd);
        rows[4 + index] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
        rows[12 + index] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
    }
}

INLINE void turn_keys(int width, const struct attention *attention, const char *keys, int count, struct work *work) {
    for (int grain = 0; grain < count; grain += GRAIN) {
        for (int part = 0; part < width; part += 16) {
            __m512 rows[16];
            UNROLL for (int cell = 0; cell < 16; cell++) {
                rows[cell] = widen(keys + (size_t)(grain + cell) * attention->key_cell + 2 * (size_t)part);
            }
            transpose(rows);
            UNROLL for (int index = 0; index < 16; index++) {
                _mm512_storeu_ps(work->cells + (size_t)grain * (size_t)width + 16 * (size_t)(part + index),
                                 rows[index]);
            }
        }
    }
}

/* `rows` rows (a constant) from `row` on. */
INLINE void score(int rows, int width, int row, int count, struct work *work) {
    for (int grain = 0; grain < count; grain += GRAIN) {
        const float *keys = work->cells + (size_t)grain * (size_t)width;
        __m512 sums[8];
        UNROLL for (int index = 0; index < rows; index++) { sums[index] = _mm512_setzero_ps(); }
        for (int place = 0; place < width; place++) {
            const __m512 key = _mm512_loadu_ps(keys + 16 * place);
            UNROLL for (int index = 0; index < rows; index++) {
                sums[index] = _mm512_fmadd_ps(key, _mm512_set1_ps(work->queries[row + index][place]), sums[index]);
            }
        }
        UNROLL for (int index = 0; index < rows; index++) {
            _mm512_storeu_ps(work->scores[row + index] + grain, sums[index]);
        }
    }
}

INLINE void gather(int rows, int width, int row, int count, struct work *work) {
    __m512 sums[2][WIDEST_HEAD / 16];
    UNROLL for (int index = 0; index < rows; index++) {
        UNROLL for (int part = 0; part < width / 16; part++) {
            sums[index][part] = _mm512_loadu_ps(work->totals[row + index] + 16 * part);
        }
    }
    for (int cell = 0; cell < count; cell++) {
        const float *values = work->cells + (size_t)cell * (size_t)width;
        UNROLL for (int part = 0; part < width / 16; part++) {
            const __m512 value = _mm512_loadu_ps(values + 16 * part);
            UNROLL for (int index = 0; index < rows; index++) {
                sums[index][part] =
                    _mm512_fmadd_ps(value, _mm512_set1_ps(work->scores[row + index][cell]), sums[index][part]);
            }
        }
    }
    UNROLL for (int index = 0; index < rows; index++) {
        UNROLL for (int part = 0; part < width / 16; part++) {
            _mm512_storeu_ps(work->totals[row + index] + 16 * part, sums[index][part]);
        }
    }
}

/* Scores to shares of what was seen so far; what is there already is scaled to the new greatest score. */
INLINE void weigh(int width, const struct attention *attention, int row, int token, int start, int count,
                  struct work *work) {
    float *scores = work->scores[row];
    const char *mask = attention->mask ? attention->mask + (size_t)token * attention->mask_token : NULL;
    __m512 most = _mm512_set1_ps(work->greatest[row]);
    for (int grain = 0; grain < count; grain += GRAIN) {
        __m512 score = _mm512_loadu_ps(scores + grain);
        if (mask) {
            score = _mm512_add_ps(score, widen(mask + 2 * (size_t)(start + grain)));
            _mm512_storeu_ps(scores + grain, score);
        }
        most = _mm512_max_ps(most, score);
    }
    const float greatest = _mm512_reduce_max_ps(most);
    if (greatest == -INFINITY) {
        memset(scores, 0, sizeof(float) * (size_t)count);
        return;
    }
    const float factor = expf(work->greatest[row] - greatest);
    __m512 sum = _mm512_setzero_ps();
    for (int grain = 0; grain < count; grain += GRAIN) {
        const __m512 score = _mm512_loadu_ps(scores + grain);
        const __mmask16 seen = _mm512_cmp_ps_mask(score, _mm512_set1_ps(-INFINITY), _CMP_GT_OQ);
        const __m512 share = _mm512_maskz_mov_ps(seen, power(_mm512_sub_ps(score, _mm512_set1_ps(greatest))));
        _mm512_storeu_ps(scores + grain, share);
        sum = _mm512_add_ps(sum, share);
    }
    work->sums[row] = work->sums[row] * factor + _mm512_reduce_add_ps(sum);
    work->greatest[row] = greatest;
    if (factor != 1.0f) {
        for (int part = 0; part < width; part += 16) {
            float *total = work->totals[row] + part;
            _mm512_storeu_ps(total, _mm512_mul_ps(_mm512_loadu_ps(total), _mm512_set1_ps(factor)));
        }
    }
}

/* Whether any of the rows' tokens sees any of the cells. */
static int is_seen(const struct attention *attention, int from, int to, int start, int count) {
    if (!attention->mask) {
        return 1;
    }
    for (int token = from / attention->group; token <= (to - 1) / attention->group; token++) {
        const char *mask = attention->mask + (size_t)token * attention->mask_token;
        for (int grain = start; grain < start + count; grain += GRAIN) {
            const __m512 values = widen(mask + 2 * (size_t)grain);
            if (_mm512_cmp_ps_mask(values, _mm512_set1_ps(-INFINITY), _CMP_GT_OQ)) {
                return 1;
            }
        }
    }
    return 0;
}

INLINE void attend_as(int width, const struct attention *attention, int key_head, int from, int to) {
    struct work work;
    const int rows = to - from;
    for (int row = 0; row < rows; row++) {
        const int token = (from + row) / attention->group,
                  head = key_head * attention->group + (from + row) % attention->group;
        const float *source = (const float *)(attention->queries + (size_t)token * attention->query_token +
                                              (size_t)head * attention->query_head);
        for (int place = 0; place < width; place++) {
            work.queries[row][place] = attention->scale * source[place];
            work.totals[row][place] = 0;
        }
        work.greatest[row] = -INFINITY;
        work.sums[row] = 0;
    }
    const char *keys = attention->keys + (size_t)key_head * attention->key_head;
    const char *values = attention->values + (size_t)key_head * attention->value_head;
    for (int start = 0; start < attention->cells; start += CELL_STEP) {
        const int count = attention->cells - start < CELL_STEP ? attention->cells - start : CELL_STEP;
        if (!is_seen(attention, from, to, start, count)) {
            continue;
        }
        turn_keys(width, attention, keys + (size_t)start * attention->key_cell, count, &work);
        int row = 0;
        for (; row + 8 <= rows; row += 8) {
            score(8, width, row, count, &work);
        }
        for (; row + 2 <= rows; row += 2) {
            score(2, width, row, count, &work);
        }
        if (row < rows) {
            score(1, width, row, count, &work);
        }
        for (row = 0; row < rows; row++) {
            weigh(width, attention, row, (from + row) / attention->group, start, count, &work);
        }
        for (int cell = 0; cell < count; cell++) {
            const char *source = values + (size_t)(start + cell) * attention->value_cell;
            for (int part = 0; part < width; part += 16) {
                _mm512_storeu_ps(work.cells + (size_t)cell * (size_t)width + part, widen(source + 2 * (size_t)part));
            }
        }
        for (row = 0; row + 2 <= rows; row += 2) {
            gather(2, width, row, count, &work);
        }
        if (row < rows) {
            gather(1, width, row, count, &work);
        }
    }
    for (int row = 0; row < rows; row++) {
        const int token = (from + row) / attention->group,
                  head = key_head * attention->group + (from + row) % attention->group;
        float *target = (float *)(attention->result + (size_t)token * attention->result_token +
                                  (size_t)head * attention->result_head);
        const float inverse = work.sums[row] > 0 ? 1.0f / work.sums[row] : 0.0f;
        for (int place = 0; place < width; place++) {
            target[place] = work.totals[row][place] * inverse;
        }
    }
}

static void attend(const struct attention *attention, int key_head, int from, int to) {
    if (attention->width == 128) {
        attend_as(128, attention, key_head, from, to);
    } else {
        attend_as(64, attention, key_head, from, to);
    }
}

attend_function *avx512_attention(void) { return attend; }

#else

attend_function *avx512_attention(void) { return NULL; }

#endif

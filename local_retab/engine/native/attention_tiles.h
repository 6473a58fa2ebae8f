/* Attention as both kinds of vectors have it. Included where `lanes` (a vector of floats), LANES, SCORED and GATHERED
   (tiles that registers have room for), `transpose` and the operations used below are. Keys are turned so that a lane
   is a cell: scores need no sums over lanes. */

#include <math.h>
#include <string.h>

enum { VECTORS = GRAIN / LANES };

struct work {
    float queries[QUERY_ROWS][WIDEST_HEAD], totals[QUERY_ROWS][WIDEST_HEAD], scores[QUERY_ROWS][CELL_STEP];
    float cells[CELL_STEP * WIDEST_HEAD]; /* keys [cell / GRAIN][width][GRAIN], then values [cell][width] */
    float greatest[QUERY_ROWS], sums[QUERY_ROWS];
};

/* e to the power of x, for x of 0 and less: 2^n times a polynomial in what is left (Taylor, of degree 6). */
static inline lanes power(lanes x) {
    x = greater(x, spread(-87.0f));
    const lanes n = whole(x * spread(1.44269504f));
    lanes r = add_product(x, n, spread(-0.693359375f));
    r = add_product(r, n, spread(2.12194440e-4f));
    lanes sum = spread(1.0f / 720);
    sum = add_product(spread(1.0f / 120), sum, r);
    sum = add_product(spread(1.0f / 24), sum, r);
    sum = add_product(spread(1.0f / 6), sum, r);
    sum = add_product(spread(0.5f), sum, r);
    sum = add_product(spread(1.0f), sum, r);
    sum = add_product(spread(1.0f), sum, r);
    return scaled(sum, n);
}

INLINE void turn_keys(int width, const struct attention *attention, const char *keys, int count, struct work *work) {
    for (int cell = 0; cell < count; cell += LANES) {
        float *target = work->cells + (size_t)(cell / GRAIN * GRAIN) * (size_t)width + cell % GRAIN;
        for (int part = 0; part < width; part += LANES) {
            lanes rows[LANES];
            UNROLL for (int index = 0; index < LANES; index++) {
                rows[index] = widen(keys + (size_t)(cell + index) * attention->key_cell + 2 * (size_t)part);
            }
            transpose(rows);
            UNROLL for (int index = 0; index < LANES; index++) { store(target + GRAIN * (part + index), rows[index]); }
        }
    }
}

/* `rows` rows (a constant, SCORED at most) from `row` on. */
INLINE void score(int rows, int width, int row, int count, struct work *work) {
    for (int grain = 0; grain < count; grain += GRAIN) {
        const float *keys = work->cells + (size_t)grain * (size_t)width;
        lanes sums[SCORED][VECTORS];
        UNROLL for (int index = 0; index < rows; index++) {
            UNROLL for (int part = 0; part < VECTORS; part++) { sums[index][part] = spread(0); }
        }
        for (int place = 0; place < width; place++) {
            lanes key[VECTORS];
            UNROLL for (int part = 0; part < VECTORS; part++) { key[part] = load(keys + GRAIN * place + LANES * part); }
            UNROLL for (int index = 0; index < rows; index++) {
                const lanes query = spread(work->queries[row + index][place]);
                UNROLL for (int part = 0; part < VECTORS; part++) {
                    sums[index][part] = add_product(sums[index][part], key[part], query);
                }
            }
        }
        UNROLL for (int index = 0; index < rows; index++) {
            UNROLL for (int part = 0; part < VECTORS; part++) {
                store(work->scores[row + index] + grain + LANES * part, sums[index][part]);
            }
        }
    }
}

/* `rows` rows (a constant, 2 at most), GATHERED vectors of the width at once. */
INLINE void gather(int rows, int width, int row, int count, struct work *work) {
    const int parts = width / LANES < GATHERED ? width / LANES : GATHERED;
    for (int place = 0; place < width; place += parts * LANES) {
        lanes sums[2][GATHERED];
        UNROLL for (int index = 0; index < rows; index++) {
            UNROLL for (int part = 0; part < parts; part++) {
                sums[index][part] = load(work->totals[row + index] + place + LANES * part);
            }
        }
        for (int cell = 0; cell < count; cell++) {
            const float *values = work->cells + (size_t)cell * (size_t)width + place;
            lanes share[2];
            UNROLL for (int index = 0; index < rows; index++) {
                share[index] = spread(work->scores[row + index][cell]);
            }
            UNROLL for (int part = 0; part < parts; part++) {
                const lanes value = load(values + LANES * part);
                UNROLL for (int index = 0; index < rows; index++) {
                    sums[index][part] = add_product(sums[index][part], value, share[index]);
                }
            }
        }
        UNROLL for (int index = 0; index < rows; index++) {
            UNROLL for (int part = 0; part < parts; part++) {
                store(work->totals[row + index] + place + LANES * part, sums[index][part]);
            }
        }
    }
}

/* Scores to shares of what was seen so far; what is there already is scaled to the new greatest score. */
INLINE void weigh(int width, const struct attention *attention, int row, int token, int start, int count,
                  struct work *work) {
    float *scores = work->scores[row];
    const char *mask = attention->mask ? attention->mask + (size_t)token * attention->mask_token : NULL;
    lanes most = spread(work->greatest[row]);
    for (int cell = 0; cell < count; cell += LANES) {
        lanes score = load(scores + cell);
        if (mask) {
            score += widen(mask + 2 * (size_t)(start + cell));
            store(scores + cell, score);
        }
        most = greater(most, score);
    }
    const float greatest = greatest_of(most);
    if (greatest == -INFINITY) {
        memset(scores, 0, sizeof(float) * (size_t)count);
        return;
    }
    const float factor = expf(work->greatest[row] - greatest);
    lanes sum = spread(0);
    for (int cell = 0; cell < count; cell += LANES) {
        const lanes score = load(scores + cell);
        const lanes share = where_seen(score, power(score - spread(greatest)));
        store(scores + cell, share);
        sum += share;
    }
    work->sums[row] = work->sums[row] * factor + sum_of(sum);
    work->greatest[row] = greatest;
    if (factor != 1.0f) {
        for (int part = 0; part < width; part += LANES) {
            float *total = work->totals[row] + part;
            store(total, load(total) * spread(factor));
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
        for (int cell = start; cell < start + count; cell += LANES) {
            if (greatest_of(widen(mask + 2 * (size_t)cell)) > -INFINITY) {
                return 1;
            }
        }
    }
    return 0;
}

INLINE void scores_of(int rows, int width, int count, struct work *work) {
    int row = 0;
    for (; row + SCORED <= rows; row += SCORED) {
        score(SCORED, width, row, count, work);
    }
    for (; row + 2 <= rows; row += 2) {
        score(2, width, row, count, work);
    }
    if (row < rows) {
        score(1, width, row, count, work);
    }
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
        scores_of(rows, width, count, &work);
        for (int row = 0; row < rows; row++) {
            weigh(width, attention, row, (from + row) / attention->group, start, count, &work);
        }
        for (int cell = 0; cell < count; cell++) {
            const char *source = values + (size_t)(start + cell) * attention->value_cell;
            for (int part = 0; part < width; part += LANES) {
                store(work.cells + (size_t)cell * (size_t)width + part, widen(source + 2 * (size_t)part));
            }
        }
        int row = 0;
        for (; row + 2 <= rows; row += 2) {
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

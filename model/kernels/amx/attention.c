/* Softmax attention within each packed sequence, one head at a time, in bf16 with fp32 scores.
 *
 * Keys and values of a head are packed into tiles once; then 32 queries at a time are multiplied with all of them.
 * The result of a sequence does not depend on the other sequences.
 */

#include <math.h>

#include "tiles.h"

#define LOG2_E 1.44269504f

typedef struct {
    const uint8_t *qkv; /* blocks of [num_tokens, 3 * num_heads * head_size] */
    uint8_t *context;   /* blocks of [num_tokens, num_heads * head_size] */
    long num_heads, head_size;
    int is_causal;
} Attention;

/* Query, key or value of one head: numbers from `feature` on of the tokens from `row` on. */
typedef struct {
    const uint8_t *blocks;
    long row, feature, num_steps;
} Part;

/* Memory of one thread, for one head of one sequence. Lengths are padded to whole tiles. */
typedef struct {
    uint8_t *keys;    /* tiles [num_keys / 16, head_steps] */
    uint8_t *values;  /* tiles [num_keys / 32, head_size / 16] */
    uint8_t *queries; /* tiles [2, head_steps] of 32 queries */
    float *scores;    /* [32, num_keys], rows `score_stride` apart */
    bf16 *probs;      /* the same, rows `prob_stride` apart */
    float *sums;      /* [32, head_size], rows head_size apart */
    long num_keys, head_steps, score_stride, prob_stride;
} Workspace;

static size_t take(size_t *end, size_t num_bytes) {
    const size_t begin = *end;
    *end += CEIL_DIV(num_bytes, 64) * 64;
    return begin;
}

static Workspace workspace(long length, long head_size) {
    Workspace w;
    w.num_keys = CEIL_DIV(length, 32) * 32;
    w.head_steps = CEIL_DIV(head_size, 32);
    /* Row strides of a power of two would conflict in few cache sets. */
    w.score_stride = w.num_keys + 16;
    w.prob_stride = w.num_keys + 32;
    size_t size = 0;
    const size_t keys = take(&size, w.num_keys / TILE_ROWS * w.head_steps * TILE_BYTES);
    const size_t values = take(&size, w.num_keys / 32 * (head_size / 16) * TILE_BYTES);
    const size_t queries = take(&size, 2 * w.head_steps * TILE_BYTES);
    const size_t scores = take(&size, BLOCK_ROWS * w.score_stride * sizeof(float));
    const size_t probs = take(&size, BLOCK_ROWS * w.prob_stride * sizeof(bf16));
    const size_t sums = take(&size, BLOCK_ROWS * head_size * sizeof(float));
    uint8_t *memory = scratch(size);
    w.keys = memory + keys;
    w.values = memory + values;
    w.queries = memory + queries;
    w.scores = (float *)(memory + scores);
    w.probs = (bf16 *)(memory + probs);
    w.sums = (float *)(memory + sums);
    return w;
}

static inline Part part_of(const Attention *a, int which, long row, long head) {
    const long size = a->num_heads * a->head_size;
    return (Part){a->qkv, row, which * size + head * a->head_size, CEIL_DIV(3 * size, 32)};
}

/* The address of a row. */
static inline const uint8_t *row_of(const Part *p, long row) {
    return place_in_blocks((uint8_t *)p->blocks, p->row + row, p->num_steps);
}

/* Prefetch 32 numbers of a row. */
static inline void fetch(const Part *p, long row, long begin) {
    _mm_prefetch(row_of(p, row) + (p->feature + begin) / 32 * BLOCK_BYTES, _MM_HINT_T1);
}

/* 16 numbers of a row, from a multiple of 16 on. */
static inline __m256i sixteen(const uint8_t *row, unsigned long feature) {
    return _mm256_load_si256((const __m256i *)(row + feature / 32 * BLOCK_BYTES + feature % 32 * 2));
}

/* 32 numbers of a head from `begin` on, with zeros after its end. */
static inline __m512i thirty_two(const uint8_t *row, const Part *p, long begin, long head_size) {
    const __m512i low = _mm512_zextsi256_si512(sixteen(row, p->feature + begin));
    return begin + 16 < head_size ? _mm512_inserti64x4(low, sixteen(row, p->feature + begin + 16), 1) : low;
}

/* Load `num_queries` queries from `query` on; later rows keep stale numbers, whose results are not used. */
static void fill_queries(const Attention *a, const Workspace *w, const Part *q, long query, long num_queries) {
    for (long i = 0; i < num_queries; i++) {
        const uint8_t *row = row_of(q, query + i);
        uint8_t *to = w->queries + i / TILE_ROWS * w->head_steps * TILE_BYTES + i % TILE_ROWS * STEP_BYTES;
        for (long step = 0; step < w->head_steps; step++, to += TILE_BYTES)
            _mm512_store_si512(to, thirty_two(row, q, step * 32, a->head_size));
    }
}

/* Transpose 16 rows of 16 words. */
static inline void transpose(__m512i x[TILE_ROWS]) {
    __m512i y[TILE_ROWS];
    for (int i = 0; i < 16; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            x[i + 2 * j] = _mm512_unpacklo_epi64(y[i + j], y[i + 2 + j]);
            x[i + 2 * j + 1] = _mm512_unpackhi_epi64(y[i + j], y[i + 2 + j]);
        }
    /* x[4 i + c] holds, of rows 4 i to 4 i + 3, the columns c, 4 + c, 8 + c and 12 + c. */
    for (int c = 0; c < 4; c++) {
        const __m512i even0 = _mm512_shuffle_i32x4(x[c], x[4 + c], 0x88);
        const __m512i even1 = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0x88);
        const __m512i odd0 = _mm512_shuffle_i32x4(x[c], x[4 + c], 0xdd);
        const __m512i odd1 = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0xdd);
        y[c] = _mm512_shuffle_i32x4(even0, even1, 0x88);
        y[8 + c] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
        y[4 + c] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
        y[12 + c] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
    }
    for (int i = 0; i < 16; i++)
        x[i] = y[i];
}

/* Pack keys as the weights of the first product: 16 keys per tile, pairs of their numbers in consecutive rows.
 * Values and queries are prefetched meanwhile. */
static void fill_keys(const Attention *a, const Workspace *w, const Part *k, const Part *v, const Part *q,
                      long length) {
    uint8_t *tile = w->keys;
    for (long key = 0; key < w->num_keys; key += TILE_ROWS)
        for (long step = 0; step < w->head_steps; step++, tile += TILE_BYTES) {
            __m512i x[TILE_ROWS];
            for (long i = 0; i < TILE_ROWS; i++) {
                fetch(v, key + i, step * 32);
                fetch(q, key + i, step * 32);
                x[i] = key + i < length ? thirty_two(row_of(k, key + i), k, step * 32, a->head_size)
                                        : _mm512_setzero_si512();
            }
            transpose(x);
            for (long i = 0; i < TILE_ROWS; i++)
                _mm512_store_si512(tile + i * STEP_BYTES, x[i]);
        }
}

/* Pack values as the weights of the second product: 16 numbers of a head per tile, pairs of tokens in one row. */
static void fill_values(const Attention *a, const Workspace *w, const Part *v, long length) {
    const long num_parts = a->head_size / 16;
    for (long key = 0; key < w->num_keys; key += 2) {
        const uint8_t *even_row = row_of(v, key), *odd_row = row_of(v, key + 1);
        uint8_t *to = w->values + key / 32 * num_parts * TILE_BYTES + key % 32 / 2 * STEP_BYTES;
        for (long part = 0; part < num_parts; part++, to += TILE_BYTES) {
            const unsigned long feature = v->feature + part * 16;
            const __m256i even = key < length ? sixteen(even_row, feature) : _mm256_setzero_si256();
            const __m256i odd = key + 1 < length ? sixteen(odd_row, feature) : _mm256_setzero_si256();
            _mm512_store_si512(to, _mm512_or_si512(_mm512_cvtepu16_epi32(even),
                                                   _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16)));
        }
    }
}

/* Scores of 32 queries with keys up to `num_keys`, a multiple of 32. */
static void multiply_keys(const Workspace *w, long num_keys) {
    const long stride = w->score_stride * sizeof(float), tiles = w->head_steps * TILE_BYTES;
    for (long key = 0; key < num_keys; key += 32) {
        const uint8_t *q = w->queries, *k = w->keys + key / TILE_ROWS * tiles;
        _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
        for (long step = 0; step < w->head_steps; step++, q += TILE_BYTES, k += TILE_BYTES) {
            _tile_loadd(4, q, 64); _tile_loadd(6, k, 64);
            _tile_loadd(5, q + tiles, 64); _tile_loadd(7, k + tiles, 64);
            _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(1, 4, 7); _tile_dpbf16ps(3, 5, 7);
        }
        float *scores = w->scores + key, *below = scores + TILE_ROWS * w->score_stride;
        _tile_stored(0, scores, stride); _tile_stored(1, scores + 16, stride);
        _tile_stored(2, below, stride); _tile_stored(3, below + 16, stride);
    }
}

static float highest_of(const float *scores, long length) {
    /* Four independent chains, to hide latency. */
    __m512 highest[4];
    for (int chain = 0; chain < 4; chain++)
        highest[chain] = _mm512_set1_ps(-INFINITY);
    long i = 0;
    for (; i + 64 <= length; i += 64)
        for (int chain = 0; chain < 4; chain++)
            highest[chain] = _mm512_max_ps(highest[chain], _mm512_load_ps(scores + i + 16 * chain));
    for (; i < length; i += 16)
        highest[0] = _mm512_mask_max_ps(highest[0], first16(length - i), highest[0], _mm512_load_ps(scores + i));
    highest[0] = _mm512_max_ps(_mm512_max_ps(highest[0], highest[1]), _mm512_max_ps(highest[2], highest[3]));
    return _mm512_reduce_max_ps(highest[0]);
}

/* exp(score - highest) in bf16, zero from `length` on; returns one over the sum. */
static float softmax(const float *scores, bf16 *probs, long length, long num_keys, float scale) {
    const __m512 factor = _mm512_set1_ps(scale * LOG2_E);
    const __m512 offset = _mm512_mul_ps(_mm512_set1_ps(highest_of(scores, length)), factor);
    __m512 sum = _mm512_setzero_ps();
    for (long i = 0; i < num_keys; i += 16) {
        __m512 y = exp2_of_negative(_mm512_fmsub_ps(_mm512_load_ps(scores + i), factor, offset));
        if (i + 16 > length)
            y = _mm512_maskz_mov_ps(first16(length - i), y);
        sum = _mm512_add_ps(sum, y);
        _mm256_store_si256((__m256i *)(probs + i), (__m256i)_mm512_cvtneps_pbh(y));
    }
    return 1.0f / _mm512_reduce_add_ps(sum);
}

/* Sums of values for 32 queries, over keys up to `num_keys`. */
static void multiply_values(const Workspace *w, long num_keys, long head_size) {
    const long num_parts = head_size / 16;
    const long prob_bytes = w->prob_stride * sizeof(bf16), sum_bytes = head_size * sizeof(float);
    for (long part = 0; part < num_parts; part += 2) {
        const int is_pair = part + 1 < num_parts;
        _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
        for (long key = 0; key < num_keys; key += 32) {
            const uint8_t *v = w->values + (key / 32 * num_parts + part) * TILE_BYTES;
            _tile_loadd(4, w->probs + key, prob_bytes); _tile_loadd(6, v, 64);
            _tile_loadd(5, w->probs + 16 * w->prob_stride + key, prob_bytes);
            _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(2, 5, 6);
            if (is_pair) {
                _tile_loadd(7, v + TILE_BYTES, 64);
                _tile_dpbf16ps(1, 4, 7); _tile_dpbf16ps(3, 5, 7);
            }
        }
        float *sums = w->sums + part * 16;
        _tile_stored(0, sums, sum_bytes); _tile_stored(2, sums + 16 * head_size, sum_bytes);
        if (is_pair) {
            _tile_stored(1, sums + 16, sum_bytes); _tile_stored(3, sums + 16 * head_size + 16, sum_bytes);
        }
    }
}

/* Write the results of a head for up to 32 queries into the rows of the context from `row` on. */
static void store_context(const Attention *a, const Workspace *w, const float *factors, long row, long num_rows,
                          long head) {
    const long first_feature = head * a->head_size, num_steps = CEIL_DIV(a->num_heads * a->head_size, 32);
    for (long i = 0; i < num_rows; i++) {
        uint8_t *to = place_in_blocks(a->context, row + i, num_steps);
        for (long j = 0; j < a->head_size; j += 16) {
            const unsigned long feature = first_feature + j;
            const __m512 sum = _mm512_loadu_ps(w->sums + i * a->head_size + j);
            const __m512 y = _mm512_mul_ps(sum, _mm512_set1_ps(factors[i]));
            store_bf16((bf16 *)(to + feature / 32 * BLOCK_BYTES) + feature % 32, 0xffff, y);
        }
    }
}

/* Inlined, since gcc drops calls of a function that only prefetches. */
INLINE void fetch_context(const Attention *a, long row, long num_rows, long head) {
    const long first_step = head * a->head_size / 32, end = first_step + CEIL_DIV(a->head_size, 32);
    const long num_steps = CEIL_DIV(a->num_heads * a->head_size, 32);
    for (long i = 0; i < num_rows; i++) {
        const uint8_t *to = place_in_blocks(a->context, row + i, num_steps);
        for (long step = first_step; step < end; step++)
            _mm_prefetch(to + step * BLOCK_BYTES, _MM_HINT_T0);
    }
}

/* One head of the sequence of tokens `begin` to `begin + length`. */
static void attend(const Attention *a, long begin, long length, long head) {
    const Workspace w = workspace(length, a->head_size);
    const float scale = 1.0f / sqrtf((float)a->head_size);
    const Part q = part_of(a, 0, begin, head), k = part_of(a, 1, begin, head), v = part_of(a, 2, begin, head);
    fill_keys(a, &w, &k, &v, &q, length);
    fill_values(a, &w, &v, length);
    for (long query = 0; query < length; query += BLOCK_ROWS) {
        const long num_queries = MIN(BLOCK_ROWS, length - query);
        const long num_keys = a->is_causal ? query + BLOCK_ROWS : w.num_keys;
        float factors[BLOCK_ROWS];
        fill_queries(a, &w, &q, query, num_queries);
        finish_stores();
        multiply_keys(&w, num_keys);
        for (long row = 0; row < num_queries; row++)
            factors[row] = softmax(w.scores + row * w.score_stride, w.probs + row * w.prob_stride,
                                   a->is_causal ? query + row + 1 : length, num_keys, scale);
        fetch_context(a, begin + query, num_queries, head);
        finish_stores();
        multiply_values(&w, num_keys, a->head_size);
        store_context(a, &w, factors, begin + query, num_queries, head);
    }
}

/* qkv: blocks of [num_tokens, 3, num_heads, head_size], concatenated sequences of these lengths; head_size is a
 * multiple of 16. The padding of the last step of the context must be zero already. */
void attention(const uint8_t *qkv, const int64_t *lengths, uint8_t *context, long num_sequences, long num_heads,
               long head_size, long is_causal, long num_threads) {
    const Attention a = {qkv, context, num_heads, head_size, is_causal};
    /* Heads per task, so that no two threads write to the same cache line. */
    const long num_together = head_size % 32 ? 2 : 1;
#pragma omp parallel num_threads(num_threads)
    {
        configure_tiles();
        long begin = 0;
        for (long i = 0; i < num_sequences; begin += lengths[i], i++)
#pragma omp for schedule(dynamic, 1) nowait
            for (long first = 0; first < num_heads; first += num_together)
                for (long head = first; head < MIN(num_heads, first + num_together); head++)
                    attend(&a, begin, lengths[i], head);
        _tile_release();
    }
}

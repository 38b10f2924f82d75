/* Softmax statistics of the scores x W^T + b over a vocabulary, in fp32, without storing the scores.
 *
 * 16 or 32 rows of W, unpacked, are multiplied with panels of x, which is packed like the weights of a product, so that
 * each vector lane is one row of x. Each chunk of the vocabulary has its own results, which are combined in a fixed
 * order: they do not depend on the number of threads or on other rows. The running maximum and sum are those of online
 * softmax (Milakov and Gimelshein 2018, https://arxiv.org/abs/1805.02867).
 */

#include <float.h>
#include <string.h>

#include "tiles.h"

typedef struct {
    const uint8_t *rows;   /* packed, strips of 32 rows */
    const bf16 *weight;    /* [num_outputs, num_features] */
    const bf16 *bias;      /* [num_outputs] */
    const int32_t *labels; /* per row, padded to a whole strip: an output, or a number that is none */
    float *highest, *sum;  /* [num_chunks, rows padded to a whole strip]; at the end the first chunk holds the total */
    float *label_score;    /* per row, padded to a whole strip; written if its label is an output */
    long num_features, num_outputs, num_strips, chunk_outputs;
} Vocabulary;

/* e^x for x <= 0. */
INLINE __m512 exp_of_negative(__m512 x) { return exp2_of_negative(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f))); }

/* Four tiles of scores, of up to 32 outputs and a strip of 32 rows, to be reduced into the results of these rows: in
 * two passes over the outputs, one output at a time. */
typedef struct {
    float *scores;
    const float *bias; /* of each output */
    float *highest, *sum;
    long output0, num_outputs, row, next;
    __m512 top[2], total[2];
} Scores;

/* The address of the scores of an output and 16 rows. */
INLINE float *place(const Scores *s, long output, long half) {
    return s->scores + (output / TILE_ROWS * 2 + half) * TILE_SIZE + output % TILE_ROWS * 16;
}

/* Add the bias of an output, and update the maximum. */
INLINE void find_top(Scores *s, long output) {
    for (long half = 0; half < 2; half++) {
        float *at = place(s, output, half);
        const __m512 y = _mm512_add_ps(_mm512_load_ps(at), _mm512_set1_ps(s->bias[output]));
        _mm512_store_ps(at, y);
        s->top[half] = _mm512_max_ps(s->top[half], y);
    }
}

/* Rescale the sum to the new maximum. */
INLINE void start_sum(Scores *s) {
    for (long half = 0; half < 2; half++) {
        const long row = s->row + half * 16;
        const __m512 below = _mm512_sub_ps(_mm512_load_ps(s->highest + row), s->top[half]);
        s->total[half] = _mm512_mul_ps(_mm512_load_ps(s->sum + row), exp_of_negative(below));
    }
}

INLINE void add_output(Scores *s, long output) {
    for (long half = 0; half < 2; half++) {
        const __m512 below = _mm512_sub_ps(_mm512_load_ps(place(s, output, half)), s->top[half]);
        s->total[half] = _mm512_add_ps(s->total[half], exp_of_negative(below));
    }
}

INLINE void store_results(const Vocabulary *v, const Scores *s) {
    for (long half = 0; half < 2; half++) {
        const long row = s->row + half * 16;
        _mm512_store_ps(s->highest + row, s->top[half]);
        _mm512_store_ps(s->sum + row, s->total[half]);
        const __m512i first = _mm512_set1_epi32((int)s->output0);
        const __m512i label = _mm512_sub_epi32(_mm512_load_si512(v->labels + row), first);
        uint32_t is_here = _mm512_cmplt_epu32_mask(label, _mm512_set1_epi32((int)s->num_outputs));
        for (; is_here != 0; is_here &= is_here - 1) {
            const long lane = __builtin_ctz(is_here);
            v->label_score[row + lane] = place(s, v->labels[row + lane] - s->output0, half)[lane];
        }
    }
}

/* Proceed to step `end`, of two steps per output. */
INLINE void take(const Vocabulary *v, Scores *s, long end) {
    for (; s->next < MIN(end, 2 * s->num_outputs); s->next++) {
        if (s->next < s->num_outputs)
            find_top(s, s->next);
        else
            add_output(s, s->next - s->num_outputs);
        if (s->next + 1 == s->num_outputs)
            start_sum(s);
        if (s->next + 1 == 2 * s->num_outputs)
            store_results(v, s);
    }
}

/* Four tiles of scores, of 32 outputs and a strip of 32 rows. The scores `before`, which may be in the same memory, are
 * reduced meanwhile: see linear.c. */
INLINE void score(const Vocabulary *v, const uint8_t *weight, long stride, const uint8_t *rows, float *scores,
                  long num_steps, const uint8_t *next, long num_lines, Scores *before) {
    /* Outputs to reduce per step, in units of 2^-16. */
    const long outputs_per_step = CEIL_DIV(2 * BLOCK_ROWS << 16, num_steps);
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    for (long step = 0; step < num_steps; step++, weight += STEP_BYTES, rows += BLOCK_BYTES) {
        _tile_loadd(4, weight, stride); _tile_loadd(6, rows, 64);
        _tile_loadd(5, weight + TILE_ROWS * stride, stride); _tile_loadd(7, rows + TILE_BYTES, 64);
#pragma GCC unroll 32
        for (int line = 0; line < 32; line++)
            _mm_prefetch(weight + line * stride + 2 * STEP_BYTES, _MM_HINT_T0);
        _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(1, 4, 7); _tile_dpbf16ps(3, 5, 7);
        for (long line = 0; line < num_lines; line++, next += 64)
            _mm_prefetch(next, _MM_HINT_T1);
        take(v, before, (step + 1) * outputs_per_step >> 16);
    }
    _tile_stored(0, scores, 64); _tile_stored(1, scores + TILE_SIZE, 64);
    _tile_stored(2, scores + 2 * TILE_SIZE, 64); _tile_stored(3, scores + 3 * TILE_SIZE, 64);
}

/* Scores to be reduced, with the maximum of their rows so far. */
INLINE Scores scores_of(float *scores, const float *bias, float *highest, float *sum, long output0,
                        long num_outputs, long strip) {
    const long row = strip * BLOCK_ROWS;
    return (Scores){
        .scores = scores,
        .bias = bias,
        .highest = highest,
        .sum = sum,
        .output0 = output0,
        .num_outputs = num_outputs,
        .row = row,
        .top = {_mm512_load_ps(highest + row), _mm512_load_ps(highest + row + 16)},
    };
}

/* A chunk of the vocabulary and a panel of the rows. */
static void score_chunk(const Vocabulary *v, long chunk, long strip0, long num_strips) {
    float scores[4 * TILE_SIZE] __attribute__((aligned(64)));
    /* Of these outputs and those before. */
    float biases[2][BLOCK_ROWS];
    const long stride = v->num_features * (long)sizeof(bf16), num_steps = stride / STEP_BYTES;
    const long num_lines = CEIL_DIV(BLOCK_ROWS, num_strips);
    const long begin = chunk * v->chunk_outputs, end = MIN(v->num_outputs, begin + v->chunk_outputs);
    float *highest = v->highest + chunk * v->num_strips * BLOCK_ROWS;
    float *sum = v->sum + chunk * v->num_strips * BLOCK_ROWS;
    Scores before = {.num_outputs = 0};
    for (long row = strip0 * BLOCK_ROWS; row < (strip0 + num_strips) * BLOCK_ROWS; row++) {
        /* Not infinite, so that scores may be. */
        highest[row] = -FLT_MAX;
        sum[row] = 0;
    }
    for (long output0 = begin; output0 < end; output0 += BLOCK_ROWS) {
        const long num_outputs = MIN(BLOCK_ROWS, end - output0);
        const uint8_t *weight = (const uint8_t *)(v->weight + output0 * v->num_features);
        const uint8_t *next = weight + BLOCK_ROWS * stride;
        float *bias = biases[output0 / BLOCK_ROWS % 2];
        if (num_outputs < BLOCK_ROWS) {
            uint8_t *filled = scratch(BLOCK_ROWS * stride);
            memcpy(filled, weight, num_outputs * stride);
            memset(filled + num_outputs * stride, 0, (BLOCK_ROWS - num_outputs) * stride);
            finish_stores();
            weight = filled;
        }
        for (long output = 0; output < num_outputs; output++)
            bias[output] = _mm512_cvtss_f32(load_bf16(v->bias + output0 + output, 1));
        for (long strip = strip0; strip < strip0 + num_strips; strip++) {
            const uint8_t *rows = v->rows + strip * num_steps * BLOCK_BYTES;
            score(v, weight, stride, rows, scores, num_steps, next, num_lines, &before);
            next += num_lines * num_steps * 64;
            before = scores_of(scores, bias, highest, sum, output0, num_outputs, strip);
        }
    }
    take(v, &before, 2 * BLOCK_ROWS);
}

/* What all chunks have of 16 rows. */
static void join_chunks(const Vocabulary *v, long num_chunks, long row) {
    const long stride = v->num_strips * BLOCK_ROWS;
    __m512 top = _mm512_set1_ps(-FLT_MAX), total = _mm512_setzero_ps();
    for (long chunk = 0; chunk < num_chunks; chunk++)
        top = _mm512_max_ps(top, _mm512_load_ps(v->highest + chunk * stride + row));
    for (long chunk = 0; chunk < num_chunks; chunk++) {
        const __m512 below = _mm512_sub_ps(_mm512_load_ps(v->highest + chunk * stride + row), top);
        total = _mm512_fmadd_ps(_mm512_load_ps(v->sum + chunk * stride + row), exp_of_negative(below), total);
    }
    _mm512_store_ps(v->highest + row, top);
    _mm512_store_ps(v->sum + row, total);
}

/* num_features is a multiple of 32. */
void vocabulary_sums(const uint8_t *rows, const bf16 *weight, const bf16 *bias, const int32_t *labels, float *highest,
                     float *sum, float *label_score, long num_rows, long num_features, long num_outputs,
                     long chunk_outputs, long num_threads) {
    const Vocabulary v = {
        .rows = rows,
        .weight = weight,
        .bias = bias,
        .labels = labels,
        .highest = highest,
        .sum = sum,
        .label_score = label_score,
        .num_features = num_features,
        .num_outputs = num_outputs,
        .num_strips = CEIL_DIV(num_rows, BLOCK_ROWS),
        .chunk_outputs = chunk_outputs,
    };
    const long strip_bytes = num_features * (long)sizeof(bf16) * BLOCK_ROWS;
    const long num_panels = v.num_strips * strip_bytes / PANEL_BYTES + 1;
    const long panel_size = CEIL_DIV(v.num_strips, num_panels);
    const long num_chunks = CEIL_DIV(num_outputs, chunk_outputs);
#pragma omp parallel num_threads(num_threads)
    {
        configure_tiles();
        /* Panels of a chunk are consecutive tasks, so that its weights are in the shared cache. */
#pragma omp for schedule(dynamic, 1)
        for (long task = 0; task < num_chunks * num_panels; task++) {
            const long strip0 = task % num_panels * panel_size;
            if (strip0 < v.num_strips)
                score_chunk(&v, task / num_panels, strip0, MIN(panel_size, v.num_strips - strip0));
        }
        _tile_release();
#pragma omp for
        for (long row = 0; row < v.num_strips * BLOCK_ROWS; row += 16)
            join_chunks(&v, num_chunks, row);
    }
}

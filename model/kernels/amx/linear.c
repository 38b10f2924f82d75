/* y = x W^T + b of bf16 or int8 codes, from blocks of rows to bf16 rows or blocks.
 *
 * 2 x 2 tiles of results stay in registers during the loop over the features. A panel of input rows, as large as a
 * core's cache allows beside a strip of weights, is multiplied with one strip after the other, while the next strip
 * is prefetched. Many features are processed in chunks, with partial sums in memory. The order of summation of a row
 * does not depend on other rows. The previous results are finished (bias, scale, GELU) between the instructions that
 * multiply the next tiles, since a core can execute both at once.
 */

#include <omp.h>
#include <string.h>

#include "tiles.h"

#define CHUNK_STEPS 80
/* Maximum strips per task (fewer if features are chunked, as partial sums must stay in cache), and minimum tasks per
 * thread, so that threads finish at about the same time. */
#define TASK_STRIPS 80
#define TASK_STRIPS_OF_CHUNKS 40
#define TASKS_PER_THREAD 4
#define SUMS_SIZE (4 * TILE_SIZE)

typedef struct {
    const uint8_t *rows;       /* blocks [num_rows / 32, num_steps] */
    const float *row_scale;    /* of each row; codes only */
    const uint8_t *weight;     /* packed, strips of 32 outputs [num_outputs / 32, num_steps] */
    const float *weight_scale; /* of each output; codes only */
    const bf16 *bias;          /* or NULL */
    bf16 *y;                   /* [num_rows, num_outputs], or blocks of it */
    long num_rows, num_outputs, num_steps;
    long is_activated, gives_blocks;
} Product;

/* Pack weights [num_outputs, row_bytes] into strips. Each row of a tile holds the same four feature bytes of 16
 * outputs. */
void pack_weight(const uint8_t *weight, uint8_t *packed, long num_outputs, long row_bytes, long num_threads) {
    const long num_steps = CEIL_DIV(row_bytes, STEP_BYTES), num_strips = CEIL_DIV(num_outputs, BLOCK_ROWS);
#pragma omp parallel for num_threads(num_threads)
    for (long strip = 0; strip < num_strips; strip++) {
        uint8_t *to = packed + strip * num_steps * BLOCK_BYTES;
        memset(to, 0, num_steps * BLOCK_BYTES);
        for (long row = 0; row < MIN(BLOCK_ROWS, num_outputs - strip * BLOCK_ROWS); row++) {
            const uint8_t *from = weight + (strip * BLOCK_ROWS + row) * row_bytes;
            uint8_t *column = to + row / TILE_ROWS * TILE_BYTES + row % TILE_ROWS * 4;
            for (long byte = 0; byte < row_bytes; byte += 4)
                memcpy(column + byte / STEP_BYTES * BLOCK_BYTES + byte % STEP_BYTES * 16, from + byte,
                       MIN(4, row_bytes - byte));
        }
    }
}

INLINE __m512 result(__m512 sum, float row_scale, __m512 scale, __m512 bias, const int is_int8) {
    if (!is_int8)
        return _mm512_add_ps(sum, bias);
    const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_castps_si512(sum)), _mm512_set1_ps(row_scale));
    return _mm512_fmadd_ps(y, scale, bias);
}

/* Four tiles of sums to be finished row by row into the results of a block of rows and a strip of outputs. */
typedef struct {
    const float *sums;
    const float *row_scale;
    bf16 *to;
    long num_rows, next_row, stride;
    __mmask32 mask;
    __m512 bias0, bias1, scale0, scale1;
} Results;

INLINE Results results_of(const Product *p, const float *sums, long block, long strip, const int is_int8) {
    const long row0 = block * BLOCK_ROWS, output0 = strip * BLOCK_ROWS;
    const __mmask32 mask = first32(p->num_outputs - output0);
    const __mmask16 low = (__mmask16)mask, high = (__mmask16)(mask >> 16);
    const __m512 none = _mm512_setzero_ps();
    return (Results){
        .sums = sums,
        .row_scale = is_int8 ? p->row_scale + row0 : NULL,
        .to = p->y + (p->gives_blocks ? (block * CEIL_DIV(p->num_outputs, 32) + strip) * BLOCK_BYTES / 2
                                      : row0 * p->num_outputs + output0),
        .num_rows = MIN(BLOCK_ROWS, p->num_rows - row0),
        .stride = p->gives_blocks ? BLOCK_ROWS : p->num_outputs,
        .mask = mask,
        .bias0 = p->bias ? load_bf16(p->bias + output0, low) : none,
        .bias1 = p->bias ? load_bf16(p->bias + output0 + 16, high) : none,
        .scale0 = is_int8 ? _mm512_maskz_loadu_ps(low, p->weight_scale + output0) : none,
        .scale1 = is_int8 ? _mm512_maskz_loadu_ps(high, p->weight_scale + output0 + 16) : none,
    };
}

/* Finish the rows up to `end` that are not finished yet. */
INLINE void finish(const Product *p, Results *r, long end, const int is_int8) {
    for (; r->next_row < MIN(end, r->num_rows); r->next_row++, r->to += r->stride) {
        const long row = r->next_row;
        const float *sum = r->sums + row / TILE_ROWS * 2 * TILE_SIZE + row % TILE_ROWS * 16;
        const float row_scale = is_int8 ? r->row_scale[row] : 1.0f;
        __m512 y0 = result(_mm512_load_ps(sum), row_scale, r->scale0, r->bias0, is_int8);
        __m512 y1 = result(_mm512_load_ps(sum + TILE_SIZE), row_scale, r->scale1, r->bias1, is_int8);
        if (p->is_activated) {
            y0 = gelu(y0);
            y1 = gelu(y1);
        }
        const __m512i y = (__m512i)_mm512_cvtne2ps_pbh(y1, y0);
        if (r->mask == 0xffffffff && ((uintptr_t)r->to & 63) == 0)
            _mm512_stream_si512((void *)r->to, y);
        else
            _mm512_mask_storeu_epi16(r->to, p->gives_blocks ? 0xffffffff : r->mask, y);
    }
}

/* Add the products of 32 rows and 32 outputs over a chunk of features to four tiles of sums. The results `before`,
 * whose sums may be in the same memory, are finished meanwhile. */
INLINE void add_products(const Product *p, const uint8_t *rows, const uint8_t *weight, float *sums, long num_steps,
                         int is_first, const uint8_t *next, long num_lines, Results *before, const int is_int8) {
    /* Rows to finish per step, in units of 2^-16. */
    const long rows_per_step = CEIL_DIV(BLOCK_ROWS << 16, num_steps);
    if (is_first) {
        _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    } else {
        _tile_loadd(0, sums, 64); _tile_loadd(1, sums + TILE_SIZE, 64);
        _tile_loadd(2, sums + 2 * TILE_SIZE, 64); _tile_loadd(3, sums + 3 * TILE_SIZE, 64);
    }
    for (long step = 0; step < num_steps; step++, rows += BLOCK_BYTES, weight += BLOCK_BYTES) {
        _tile_loadd(4, rows, 64); _tile_loadd(6, weight, 64);
        _tile_loadd(5, rows + TILE_BYTES, 64); _tile_loadd(7, weight + TILE_BYTES, 64);
#pragma GCC unroll 32
        for (int line = 0; line < 32; line++)
            _mm_prefetch(rows + 2 * BLOCK_BYTES + line * 64, _MM_HINT_T0);
        if (is_int8) {
            _tile_dpbssd(0, 4, 6); _tile_dpbssd(2, 5, 6); _tile_dpbssd(1, 4, 7); _tile_dpbssd(3, 5, 7);
        } else {
            _tile_dpbf16ps(0, 4, 6); _tile_dpbf16ps(2, 5, 6); _tile_dpbf16ps(1, 4, 7); _tile_dpbf16ps(3, 5, 7);
        }
        for (long line = 0; line < num_lines; line++, next += 64)
            _mm_prefetch(next, _MM_HINT_T1);
        finish(p, before, (step + 1) * rows_per_step >> 16, is_int8);
    }
    _tile_stored(0, sums, 64); _tile_stored(1, sums + TILE_SIZE, 64);
    _tile_stored(2, sums + 2 * TILE_SIZE, 64); _tile_stored(3, sums + 3 * TILE_SIZE, 64);
}

/* The product of `num_blocks` blocks of rows from `block0` on and the strips from `strip0` to `end`. */
INLINE void multiply_panel(const Product *p, long block0, long num_blocks, long strip0, long end, long chunk_steps,
                           const int is_int8) {
    const int is_chunked = chunk_steps < p->num_steps;
    const long num_lines = CEIL_DIV(BLOCK_BYTES / 64, num_blocks);
    float *all_sums = scratch((is_chunked ? num_blocks * (end - strip0) : 1) * SUMS_SIZE * sizeof(float));
    Results before = {.num_rows = 0};
    for (long step = 0; step < p->num_steps; step += chunk_steps) {
        const long num_steps = MIN(chunk_steps, p->num_steps - step);
        for (long strip = strip0; strip < end; strip++) {
            const uint8_t *weight = p->weight + (strip * p->num_steps + step) * BLOCK_BYTES;
            const uint8_t *next = weight + p->num_steps * BLOCK_BYTES;
            for (long block = 0; block < num_blocks; block++) {
                const uint8_t *rows = p->rows + ((block0 + block) * p->num_steps + step) * BLOCK_BYTES;
                float *sums = all_sums + (is_chunked ? (strip - strip0) * num_blocks + block : 0) * SUMS_SIZE;
                add_products(p, rows, weight, sums, num_steps, step == 0, next, num_lines, &before, is_int8);
                next += num_lines * num_steps * 64;
                if (step + num_steps == p->num_steps)
                    before = results_of(p, sums, block0 + block, strip, is_int8);
            }
        }
    }
    finish(p, &before, BLOCK_ROWS, is_int8);
}

/* Called by every thread of a team. */
INLINE void multiply(const Product *p, const int is_int8) {
    const long num_chunks = CEIL_DIV(p->num_steps, CHUNK_STEPS), chunk_steps = CEIL_DIV(p->num_steps, num_chunks);
    const long num_blocks = CEIL_DIV(p->num_rows, BLOCK_ROWS), num_strips = CEIL_DIV(p->num_outputs, BLOCK_ROWS);
    const long num_panels = CEIL_DIV(num_blocks, PANEL_BYTES / (chunk_steps * BLOCK_BYTES));
    const long panel_size = CEIL_DIV(num_blocks, num_panels);
    const long share = CEIL_DIV(num_panels * num_strips, TASKS_PER_THREAD * omp_get_num_threads());
    const long task_strips = MIN(share, num_chunks > 1 ? TASK_STRIPS_OF_CHUNKS : TASK_STRIPS);
    const long num_tasks = CEIL_DIV(num_strips, task_strips);
    configure_tiles();
#pragma omp for schedule(dynamic, 1) nowait
    for (long task = 0; task < num_panels * num_tasks; task++) {
        const long block0 = task / num_tasks * panel_size, strip0 = task % num_tasks * task_strips;
        if (block0 < num_blocks)
            multiply_panel(p, block0, MIN(panel_size, num_blocks - block0), strip0,
                           MIN(num_strips, strip0 + task_strips), chunk_steps, is_int8);
    }
    /* Other threads read what was written by streaming stores. */
    _mm_sfence();
    _tile_release();
}

/* The product in bf16, or of int8 codes if there are scales: one per row, and one per output. */
void linear(const uint8_t *rows, const float *row_scale, const uint8_t *weight, const float *weight_scale,
            const bf16 *bias, bf16 *y, long num_rows, long num_features, long num_outputs, long is_activated,
            long gives_blocks, long num_threads) {
    const int is_int8 = row_scale != NULL;
    const Product product = {
        .rows = rows,
        .row_scale = row_scale,
        .weight = weight,
        .weight_scale = weight_scale,
        .bias = bias,
        .y = y,
        .num_rows = num_rows,
        .num_outputs = num_outputs,
        .num_steps = CEIL_DIV(num_features * (is_int8 ? 1 : 2), STEP_BYTES),
        .is_activated = is_activated,
        .gives_blocks = gives_blocks,
    };
#pragma omp parallel num_threads(num_threads)
    if (is_int8)
        multiply(&product, 1);
    else
        multiply(&product, 0);
}

/* Row operations: embeddings, residual sum with LayerNorm, and int8 quantization. */

#include <math.h>

#include "tiles.h"

#define MAX_INT8 127.0f
#define MIN_SCALE 1e-30f

static inline __m256i add_bf16(__m256i x, __m256i y) {
    return (__m256i)_mm512_cvtneps_pbh(_mm512_add_ps(from_bf16(x), from_bf16(y)));
}

/* hidden [num_rows, num_features] = round(word + token type) + position. */
void embed(const bf16 *words, const int64_t *word_ids, const bf16 *token_type, const bf16 *positions,
           const int64_t *position_ids, bf16 *hidden, long num_rows, long num_features, long num_threads) {
#pragma omp parallel for schedule(dynamic, BLOCK_ROWS) num_threads(num_threads)
    for (long row = 0; row < num_rows; row++) {
        const bf16 *word = words + word_ids[row] * num_features;
        const bf16 *position = positions + position_ids[row] * num_features;
        bf16 *to = hidden + row * num_features;
        for (long i = 0; i < num_features; i += 16) {
            const __mmask16 mask = first16(num_features - i);
            const __m256i type = _mm256_maskz_loadu_epi16(mask, token_type + i);
            const __m256i sum = add_bf16(_mm256_maskz_loadu_epi16(mask, word + i), type);
            _mm256_mask_storeu_epi16(to + i, mask, add_bf16(sum, _mm256_maskz_loadu_epi16(mask, position + i)));
        }
    }
}

/* LayerNorm of one row. Writes 32 features to `to` and every `step_size` elements from there; `values` is a buffer for
 * the row in fp32. In blocks the last 32 features are padded with zeros. The next row and its target are prefetched. */
static void norm_row(bf16 *hidden, const bf16 *added, const bf16 *weight, const bf16 *bias, float eps, bf16 *to,
                     long step_size, float *values, long num_features) {
    __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
    for (long i = 0; i < num_features; i += 16) {
        const __mmask16 mask = first16(num_features - i);
        __m512 x = load_bf16(hidden + i, mask);
        if (i % 32 == 0)
            _mm_prefetch(hidden + num_features + i, _MM_HINT_T0);
        if (added != NULL) {
            if (i % 32 == 0)
                _mm_prefetch(added + num_features + i, _MM_HINT_T0);
            const __m256i rounded = (__m256i)_mm512_cvtneps_pbh(_mm512_add_ps(x, load_bf16(added + i, mask)));
            _mm256_mask_storeu_epi16(hidden + i, mask, rounded);
            x = from_bf16(rounded);
        }
        _mm512_store_ps(values + i, x);
        sum = _mm512_add_ps(sum, x);
    }
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / num_features);
    for (long i = 0; i < num_features; i += 16) {
        const __m512 x = _mm512_maskz_sub_ps(first16(num_features - i), _mm512_load_ps(values + i), mean);
        squares = _mm512_fmadd_ps(x, x, squares);
    }
    const float variance = _mm512_reduce_add_ps(squares) / num_features;
    const __m512 scale = _mm512_set1_ps(1.0f / sqrtf(variance + eps));
    for (long i = 0; i < num_features; i += 32, to += step_size) {
        __m512 y[2];
        if (step_size > 32)
            _mm_prefetch(to + 32, _MM_HINT_T0);
        for (int half = 0; half < 2; half++) {
            const long begin = i + 16 * half;
            const __mmask16 mask = first16(num_features - begin);
            const __m512 x = _mm512_mul_ps(_mm512_sub_ps(_mm512_load_ps(values + begin), mean), scale);
            const __m512 factor = load_bf16(weight + begin, mask);
            y[half] = _mm512_maskz_fmadd_ps(mask, x, factor, load_bf16(bias + begin, mask));
        }
        const __mmask32 mask = step_size == 32 ? first32(num_features - i) : 0xffffffff;
        _mm512_mask_storeu_epi16(to, mask, (__m512i)_mm512_cvtne2ps_pbh(y[1], y[0]));
    }
}

/* hidden [num_rows, num_features] += added, unless that is NULL; then its LayerNorm, written to blocks, or to rows,
 * which may be those of `hidden`. */
void add_norm(bf16 *hidden, const bf16 *added, const bf16 *weight, const bf16 *bias, float eps, uint8_t *normed,
              long num_rows, long num_features, long gives_blocks, long num_threads) {
    const long num_steps = CEIL_DIV(num_features, 32), step_size = gives_blocks ? BLOCK_BYTES / 2 : 32;
#pragma omp parallel num_threads(num_threads)
    {
        float *values = scratch(num_steps * 32 * sizeof(float));
#pragma omp for schedule(dynamic, BLOCK_ROWS)
        for (long row = 0; row < num_rows; row++) {
            const long begin = row * num_features;
            bf16 *to = gives_blocks ? (bf16 *)place_in_blocks(normed, row, num_steps) : (bf16 *)normed + begin;
            norm_row(hidden + begin, added == NULL ? NULL : added + begin, weight, bias, eps, to, step_size, values,
                     num_features);
        }
    }
}

/* Largest absolute number of a row. Compares bits as integers, where NaN is larger than all numbers, so that NaN is
 * kept. */
static float highest_of_row(const uint8_t *from, long num_steps) {
    const __m512i without_sign = _mm512_set1_epi16(0x7fff);
    __m512i most = _mm512_setzero_si512();
    for (long step = 0; step < num_steps; step++) {
        const __m512i x = _mm512_load_si512(from + step * BLOCK_BYTES);
        most = _mm512_max_epu16(most, _mm512_and_si512(x, without_sign));
    }
    const __m256i halves = _mm256_max_epu16(_mm512_castsi512_si256(most), _mm512_extracti64x4_epi64(most, 1));
    const uint32_t bits = (uint32_t)_mm512_reduce_max_epu32(_mm512_cvtepu16_epi32(halves)) << 16;
    return _mm512_cvtss_f32(_mm512_castsi512_ps(_mm512_set1_epi32(bits)));
}

/* Quantize one row; returns the scale of its codes. */
static float quantize_row(const uint8_t *from, uint8_t *to, long num_steps) {
    const float highest = highest_of_row(from, num_steps) / MAX_INT8;
    const float scale = highest < MIN_SCALE ? MIN_SCALE : highest;
    const __m512 factor = _mm512_set1_ps(1.0f / scale);
    for (long step = 0; step < CEIL_DIV(num_steps, 2) * 2; step++)
        for (int half = 0; half < 2; half++) {
            const __m256i *x = (const __m256i *)(from + step * BLOCK_BYTES) + half;
            const __m512 value = step < num_steps ? from_bf16(_mm256_load_si256(x)) : _mm512_setzero_ps();
            const __m128i codes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(value, factor)));
            _mm_store_si128((__m128i *)(to + step / 2 * BLOCK_BYTES) + step % 2 * 2 + half, codes);
        }
    return scale;
}

/* Quantize blocks of bf16 to blocks of codes, with a scale per row. */
void quantize(const uint8_t *blocks, uint8_t *codes, float *row_scale, long num_rows, long num_features,
              long num_threads) {
    const long num_steps = CEIL_DIV(num_features, 32), num_code_steps = CEIL_DIV(num_features, 64);
#pragma omp parallel for schedule(dynamic, BLOCK_ROWS) num_threads(num_threads)
    for (long row = 0; row < num_rows; row++)
        row_scale[row] = quantize_row(place_in_blocks((uint8_t *)blocks, row, num_steps),
                                      place_in_blocks(codes, row, num_code_steps), num_steps);
}

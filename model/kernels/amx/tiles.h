/* Shared by the kernels: tile registers, bf16, blocks of rows, memory of a thread.
 *
 * A block holds 64 bytes of each of 32 rows (32 bf16 numbers or 64 int8 codes): two tiles of 16 rows. Blocks along
 * the features are contiguous, so that a product reads its input as one stream. Padding of features is zero; results
 * of padding rows are discarded.
 */

#ifndef TILES_H
#define TILES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_ROWS 32
#define TILE_ROWS 16
#define TILE_BYTES 1024
#define STEP_BYTES 64
/* Sums in a tile. */
#define TILE_SIZE (TILE_ROWS * 16)
#define BLOCK_BYTES (BLOCK_ROWS * STEP_BYTES)

/* Bytes of input rows that a core's cache holds beside streamed data. */
#define PANEL_BYTES (960 * 1024)

#define INLINE static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define CEIL_DIV(a, b) (((a) + (b) - 1) / (b))

typedef uint16_t bf16;

/* At least this many bytes for this thread, on huge pages; the next call returns the same memory. */
void *scratch(size_t num_bytes);

/* Configure eight tiles of 16 rows of 64 bytes for this thread; _tile_release() releases them. */
void configure_tiles(void);

/* A compiler barrier: gcc's tile loads do not declare the memory that they read. */
static inline void finish_stores(void) {
    __asm__ volatile("" ::: "memory");
}

static inline __m512 from_bf16(__m256i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

static inline __m512 load_bf16(const bf16 *x, __mmask16 mask) {
    return from_bf16(_mm256_maskz_loadu_epi16(mask, x));
}

static inline void store_bf16(bf16 *x, __mmask16 mask, __m512 value) {
    _mm256_mask_storeu_epi16(x, mask, (__m256i)_mm512_cvtneps_pbh(value));
}

/* The first `num` of 16 or 32 elements. */
static inline __mmask16 first16(long num) {
    return num >= 16 ? 0xffff : num <= 0 ? 0 : (__mmask16)((1u << num) - 1);
}

static inline __mmask32 first32(long num) {
    return num >= 32 ? 0xffffffff : num <= 0 ? 0 : (__mmask32)((1ull << num) - 1);
}

/* Address of a row in blocks of `num_steps` steps along the features; its next 64 bytes are BLOCK_BYTES further. */
static inline uint8_t *place_in_blocks(uint8_t *blocks, long row, long num_steps) {
    return blocks + row / BLOCK_ROWS * num_steps * BLOCK_BYTES + row % BLOCK_ROWS * STEP_BYTES;
}

/* 2^x for x <= 0, to 3e-6: the minimax polynomial of degree four of 2^f, |f| <= 1/2, that is 1 at 0. Clamped at
 * 2^-126, since denormal numbers take the processor a hundred times as long. */
static inline __m512 exp2_of_negative(__m512 x) {
    x = _mm512_max_ps(_mm512_set1_ps(-126.0f), x);
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 f = _mm512_sub_ps(x, whole);
    __m512 y = _mm512_set1_ps(9.5825763e-3f);
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(5.5906829e-2f));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(2.4024107e-1f));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(6.9312412e-1f));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(y, whole);
}

/* GELU: x times the cumulative normal distribution. erfc is Abramowitz and Stegun, Handbook of Mathematical Functions,
 * 7.1.26 (to 1.5e-7), of |x|, so that no precision is lost below zero. */
static inline __m512 gelu(__m512 x) {
    /* Further out the tail stays below 1e-31. */
    const __m512 limit = _mm512_set1_ps(12.0f);
    const __m512 z = _mm512_mul_ps(_mm512_min_ps(limit, _mm512_abs_ps(x)), _mm512_set1_ps(0.70710678f));
    const __m512 d = _mm512_fmadd_ps(z, _mm512_set1_ps(0.3275911f), _mm512_set1_ps(1.0f));
    __m512 t = _mm512_rcp14_ps(d);
    t = _mm512_mul_ps(t, _mm512_fnmadd_ps(t, d, _mm512_set1_ps(2.0f)));
    __m512 y = _mm512_set1_ps(1.061405429f);
    y = _mm512_fmadd_ps(y, t, _mm512_set1_ps(-1.453152027f));
    y = _mm512_fmadd_ps(y, t, _mm512_set1_ps(1.421413741f));
    y = _mm512_fmadd_ps(y, t, _mm512_set1_ps(-0.284496736f));
    y = _mm512_fmadd_ps(y, t, _mm512_set1_ps(0.254829592f));
    const __m512 power = _mm512_mul_ps(_mm512_mul_ps(z, z), _mm512_set1_ps(-1.4426950f));
    const __m512 near = _mm512_max_ps(_mm512_set1_ps(-12.0f), _mm512_min_ps(limit, x));
    const __m512 half = _mm512_mul_ps(near, _mm512_set1_ps(0.5f));
    const __m512 tail = _mm512_mul_ps(_mm512_mul_ps(_mm512_mul_ps(y, t), half), exp2_of_negative(power));
    const __mmask16 is_positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    return _mm512_mask_sub_ps(tail, is_positive, x, tail);
}

#endif

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tiles.h"

/* Linux lets a process use tiles on request (arch_prctl(2), Documentation/arch/x86/xstate.rst). */
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18
#define HUGE_PAGE (1ul << 21)

/* Request tiles; returns 0, or -1 if the system denies them. */
int request_tiles(void) {
    return (int)syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
}

void configure_tiles(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t num_rows[16];
    } config;
    memset(&config, 0, sizeof config);
    config.palette = 1;
    for (int tile = 0; tile < 8; tile++) {
        config.row_bytes[tile] = STEP_BYTES;
        config.num_rows[tile] = TILE_ROWS;
    }
    finish_stores();
    _tile_loadconfig(&config);
}

void *scratch(size_t num_bytes) {
    static __thread void *memory;
    static __thread size_t size;
    if (size < num_bytes) {
        free(memory);
        size = CEIL_DIV(num_bytes, HUGE_PAGE) * HUGE_PAGE;
        memory = aligned_alloc(HUGE_PAGE, size);
        if (memory == NULL)
            abort();
        madvise(memory, size, MADV_HUGEPAGE);
    }
    return memory;
}

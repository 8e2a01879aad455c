#ifndef VALIDATOR_STORE_DEPOSIT_LOG_H
#define VALIDATOR_STORE_DEPOSIT_LOG_H

#include <stdint.h>

#include "common/format/digest.h"

struct err;

/*
 * What a session uploaded: file "deposits" of its folder, 36 bytes an entry
 * (digest, u32 plain size) at 36 * number.  Size 0 is an empty entry.  The
 * source of the lengths in indexes.  Functions block; calls for different
 * numbers may run at the same time.
 */
#define DEPOSIT_LOG_NAME "deposits"
#define DEPOSIT_ENTRY_LEN 36

/* Opens or makes it; the descriptor is the caller's, or -1. */
int deposit_log_open(int dirfd, struct err *e);
/* size > 0. */
int deposit_log_put(int fd, uint32_t number, const struct digest *d,
    uint32_t size, struct err *e);
/* ERR_NOT_FOUND for an empty entry or one past the end. */
int deposit_log_get(int fd, uint32_t number, struct digest *d_out,
    uint32_t *size_out, struct err *e);
/* Numbers used so far: one past the last entry. */
int deposit_log_count(int fd, uint64_t *count_out, struct err *e);

#endif

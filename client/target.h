#ifndef CLIENT_TARGET_H
#define CLIENT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * Where a restore goes: a new file, something that exists, or standard
 * output.
 */
struct target {
	const char *path; /* lent */
	int fd;
	bool in_order; /* only one after the other, from the front */
	bool is_blank; /* all zeros already: zeros need not be written */
	bool is_new;   /* removed again if the restore fails */
};

/* path "-": standard output.  ERR_EXISTS for anything that exists, unless
 * overwrite.  size is what will be written. */
int target_open(struct target *t, const char *path, uint64_t size,
    bool overwrite, struct err *e);
/* Safe for threads unless in_order. */
int target_write(struct target *t, uint64_t off, const void *data, size_t len,
    struct err *e);
/* Makes it durable and closes it; failed: gives up. */
int target_close(struct target *t, bool failed, struct err *e);

#endif

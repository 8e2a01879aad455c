#ifndef VALIDATOR_STORE_DIR_LIST_H
#define VALIDATOR_STORE_DIR_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct err;

/* The names in a folder of a store, sorted bytewise. */
struct name_list {
	char **v;
	size_t n;
};

/*
 * Entries of this d_type (DT_DIR, DT_REG) whose name is wanted; links and
 * everything else are passed over.  fd is not read by position and stays the
 * caller's.  Blocks.  On failure out is empty.
 */
int dir_list(int fd, unsigned char type, bool (*wanted)(const char *name),
    struct name_list *out, struct err *e);
void name_list_fini(struct name_list *l);

#endif

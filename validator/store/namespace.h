#ifndef VALIDATOR_STORE_NAMESPACE_H
#define VALIDATOR_STORE_NAMESPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/format/names.h"

struct err;
struct store;

/* Namespaces (datastore-format 1.3): folders ns/<name>.  No symbolic link is
 * followed.  All block; for store threads. */

/* ERR_NO_NAMESPACE "namespace not found". */
int ns_dir_check(struct store *s, const struct backup_ns *ns, struct err *e);
/* A descriptor of the folder that holds vm, ct, host; the caller's, or -1:
 * ERR_NO_NAMESPACE. */
int ns_dir_open(struct store *s, const struct backup_ns *ns, struct err *e);
/* The parent must exist; one that is there already is success. */
int ns_dir_create(struct store *s, const struct backup_ns *ns, struct err *e);

/*
 * Removes ns with everything below that is empty (bottom-up, plain rmdir, so
 * that a group made meanwhile stays); missing is success.  ERR_PARAM for the
 * root; ERR_EXISTS if something remained.  Groups are removed before, by
 * group_dir_remove().
 */
int ns_dir_remove(struct store *s, const struct backup_ns *ns, struct err *e);

/* ns itself and all below it, parents first, at most max_depth levels deep;
 * fn returns 0 to go on.  One that is not there has nothing below it. */
int ns_dir_each(struct store *s, const struct backup_ns *ns,
    unsigned int max_depth, int (*fn)(void *ctx, const struct backup_ns *ns),
    void *ctx, struct err *e);

#endif

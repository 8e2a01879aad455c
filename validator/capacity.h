#ifndef VALIDATOR_CAPACITY_H
#define VALIDATOR_CAPACITY_H

#include <stdint.h>

struct capacity;
struct err;
struct validator;
struct vstore;

/*
 * Looks at the usage of a datastore each hour, from now on, and tells when it
 * will be full (store/usage_log.h).  The loop's; the disks are asked in the
 * store's threads.
 */
struct capacity *capacity_new(struct validator *v, struct vstore *vs,
    struct err *e);
/* After the store's threads ended. */
void capacity_free(struct capacity **c);

/* The day when so much is used that backups are refused; 0: not known.  c may
 * be NULL. */
int64_t capacity_full_date(const struct capacity *c);

#endif

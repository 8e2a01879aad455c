#ifndef VALIDATOR_FORGET_H
#define VALIDATOR_FORGET_H

#include <stddef.h>
#include <stdint.h>

struct backup_group;
struct backup_ns;
struct validator;

/*
 * Snapshots of a group were removed or found bad: this server's record of their
 * verification goes too.  In the loop; done in the thread of that record, after
 * all that it was asked before, and before what it is asked from now on.
 */
void forget_verified(struct validator *v, const char *store,
    const struct backup_ns *ns, const struct backup_group *g,
    const int64_t *times, size_t n);

#endif

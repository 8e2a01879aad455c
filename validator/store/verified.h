#ifndef VALIDATOR_STORE_VERIFIED_H
#define VALIDATOR_STORE_VERIFIED_H

#include <stdint.h>

#include "common/format/snapshot.h"

struct err;
struct verified;

/*
 * Which snapshots this server itself has verified, and when: an LMDB below
 * STATE/validator.  Never from a manifest, which anyone may have written.
 * Calls may wait for the disk of STATE; one thread at a time.
 */
int verified_open(struct verified **out, const char *dir, struct err *e);
void verified_close(struct verified **v);

/* A good verification that began at when (Unix time). */
int verified_put(struct verified *v, const char *store,
    const struct backup_ns *ns, const struct backup_snapshot *snap,
    int64_t when, struct err *e);
/* 1 and the time, 0 (none), -1. */
int verified_get(struct verified *v, const char *store,
    const struct backup_ns *ns, const struct backup_snapshot *snap,
    int64_t *when_out, struct err *e);
/* When a snapshot is removed, replaced or found bad. */
int verified_del(struct verified *v, const char *store,
    const struct backup_ns *ns, const struct backup_snapshot *snap,
    struct err *e);
int verified_del_store(struct verified *v, const char *store, struct err *e);

#endif

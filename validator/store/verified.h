#ifndef VALIDATOR_STORE_VERIFIED_H
#define VALIDATOR_STORE_VERIFIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/snapshot.h"

struct err;
struct verified;

/*
 * Which snapshots this server itself has verified, and when: an LMDB below
 * STATE/validator.  Never from a manifest, which anyone may have written.
 * Calls may wait for the disk of STATE; one thread at a time.
 *
 * What it knows only saves work, so it may forget: when verifications fill
 * half of it, all of them are forgotten at the next one.
 */
/* map_size 0: 1 GiB of addresses; the file grows as needed. */
int verified_open(struct verified **out, const char *dir, size_t map_size,
    struct err *e);
void verified_close(struct verified **v);

/* A good verification that began at when (Unix time).  1: it is the only one
 * known now, 0, -1. */
int verified_put(struct verified *v, const char *store,
    const struct backup_ns *ns, const struct backup_snapshot *snap,
    int64_t when, struct err *e);
/* 1 and the time, 0 (none), -1. */
int verified_get(struct verified *v, const char *store,
    const struct backup_ns *ns, const struct backup_snapshot *snap,
    int64_t *when_out, struct err *e);
/* When snapshots of a group are removed or found bad. */
int verified_del(struct verified *v, const char *store,
    const struct backup_ns *ns, const struct backup_group *g,
    const int64_t *times, size_t n, struct err *e);
/* All that is known of a store that goes. */
int verified_del_store(struct verified *v, const char *store, struct err *e);

/*
 * Snapshots that wait for the verification after their finish.  Before a
 * snapshot gets its name it is made one of them, if wanted, and what was
 * known of an earlier one of that name is forgotten.  ERR_NOSPACE: too many
 * wait already, or the disk is full.
 */
int verified_begin(struct verified *v, const char *store,
    const struct backup_ns *ns, const struct backup_snapshot *snap, bool wanted,
    const char *auth_id, struct err *e);
/* It was verified, or that was tried. */
int verified_end(struct verified *v, const char *store,
    const struct backup_ns *ns, const struct backup_snapshot *snap,
    struct err *e);
/* fn for each of them; what it gets is lent. */
int verified_each_waiting(struct verified *v,
    void (*fn)(void *arg, const char *store, const struct backup_ns *ns,
	const struct backup_snapshot *snap, const char *auth_id),
    void *arg, struct err *e);

#endif

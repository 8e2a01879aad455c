#ifndef VALIDATOR_STORE_GROUP_H
#define VALIDATOR_STORE_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/auth_id.h"
#include "common/format/snapshot.h"

struct err;
struct store;

/*
 * Backup groups on disk (datastore-format 1.5).  Names were checked when they
 * were parsed; no symbolic link is followed.  Locks are the caller's affair
 * (lockdb.h).  All block; for store threads.
 */

/* A descriptor of the folder, the caller's, or -1: ERR_NOT_FOUND. */
int group_dir_open(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct err *e);

/*
 * With the group's lock: makes the group with that owner unless it is there,
 * and gives the owner that it has.  One without owner file and snapshots (a
 * creation cut short) gets the owner too.
 */
int group_dir_create(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, const char *owner,
    char owner_out[AUTH_ID_MAX + 1], bool *created_out, struct err *e);

/* ERR_NOT_FOUND; ERR_CORRUPT if the file holds no auth id. */
int group_owner_get(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, char owner_out[AUTH_ID_MAX + 1],
    struct err *e);
/* Of a group that exists: ERR_NOT_FOUND.  Atomic. */
int group_owner_set(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, const char *owner, struct err *e);

/* "" if there are none or no group.  text_out is the caller's. */
int group_notes_get(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, char **text_out, struct err *e);
int group_notes_set(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, const char *text, size_t len, struct err *e);

/* Sorted (datastore-format 1.2).  *groups_out is the caller's. */
int group_dir_list(struct store *s, const struct backup_ns *ns,
    struct backup_group **groups_out, size_t *n_out, struct err *e);

struct group_removed {
	uint64_t snapshots; /* removed */
	uint64_t kept;      /* protected */
	int64_t *times;     /* of those removed; the caller's */
};
/* With the group's tree lock: every snapshot that is not protected, then, if
 * none remained, the group.  ERR_NOT_FOUND with the words "ENOENT: No such
 * file or directory".  out is filled on failure too. */
int group_dir_remove(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct group_removed *out, struct err *e);
/* 1 if nothing but its owner and notes is left in it, 0, or -1. */
int group_dir_is_empty(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct err *e);
/* With the group's lock: the group, if nothing but its owner and notes is left
 * in it. */
int group_dir_remove_empty(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct err *e);

#endif

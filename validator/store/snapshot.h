#ifndef VALIDATOR_STORE_SNAPSHOT_H
#define VALIDATOR_STORE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/snapshot.h"

struct err;
struct store;

/*
 * Snapshots on disk (datastore-format 1.6).  As in group.h: no links, locks
 * are the caller's affair, everything blocks.
 */
#define PROTECTED_NAME ".protected"

struct snap_info {
	int64_t time;
	bool finished; /* has a manifest */
	bool is_protected;
};

/* Newest first; *snaps_out is the caller's.  ERR_NOT_FOUND: no group. */
int snap_dir_list(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, struct snap_info **snaps_out, size_t *n_out,
    struct err *e);
/* The newest finished one; 0 if there is none or no group. */
int snap_dir_newest(struct store *s, const struct backup_ns *ns,
    const struct backup_group *g, int64_t *time_out, struct err *e);

/* A descriptor of the folder, the caller's, or -1: ERR_NOT_FOUND. */
int snap_dir_open(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e);
/* 1, 0, or -1: whether anything has that name. */
int snap_dir_exists(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e);

struct snap_file {
	char name[ARCHIVE_NAME_MAX + 8];
	uint64_t size;
};
/* Regular files with a name of an archive (also of a session folder); sorted
 * by name.  *files_out is the caller's. */
int snap_files_list(int snap_fd, struct snap_file **files_out, size_t *n_out,
    struct err *e);

/* For reading; a regular file, not through a link.  The caller's descriptor,
 * or -1: ERR_NO_FILE if it is missing. */
int snap_file_open(int snap_fd, const char *name, uint64_t *size_out,
    struct err *e);
/* A whole file of at most BLOB_ENCODED_MAX bytes; *data_out is the caller's. */
int snap_file_read(int snap_fd, const char *name, uint8_t **data_out,
    size_t *len_out, struct err *e);
/* Atomic; durable: synced before and after the rename (failure poisons). */
int snap_file_write(struct store *s, int snap_fd, const char *name,
    const void *data, size_t len, bool durable, struct err *e);
/* The same, but ERR_EXISTS if there is one. */
int snap_file_add(struct store *s, int snap_fd, const char *name,
    const void *data, size_t len, struct err *e);

/* false also for a snapshot that does not exist. */
int snap_protected_get(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, bool *protected_out, struct err *e);
int snap_protected_set(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, bool on, struct err *e);

/*
 * With the snapshot's exclusive lock: whole and durably, or not at all; where
 * files of it cannot be removed, only their space stays used.  ERR_NOT_FOUND;
 * ERR_BAD_STATE "cannot remove protected snapshot".  Counted in the store, so
 * that whoever lists indexes can tell that none has gone meanwhile.
 */
int snap_dir_remove(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e);

#endif

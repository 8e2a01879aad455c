#ifndef VALIDATOR_STORE_LOCKDB_H
#define VALIDATOR_STORE_LOCKDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/snapshot.h"
#include "common/ipc_fields.h"
#include "common/msg.h"

struct err;
struct lockdb;
struct lockdb_txn;

/*
 * Locks, sessions and tombstones: LMDB in RUN/validator/locks, without sync.
 * It outlives the validator, not a reboot: records of another boot are
 * dropped when it is opened.  Only the validator's loop uses it; calls take
 * microseconds (a runtime folder is in memory).  Its file is allocated whole
 * when made, so a full file system cannot stop it.  It takes new records up to
 * half of its size (ERR_NOSPACE then), so that ending sessions and freeing
 * locks never fails for want of room; a transaction that fails changes
 * nothing and can be tried again.
 *
 * Taking a lock never waits: a conflict is ERR_LOCKED, names the holder, and
 * does not spoil the transaction.
 */
#define LOCKDB_MAP_SIZE (16u << 20)
#define LOCKDB_WHAT_MAX 96

enum lock_kind {
	LOCK_GROUP,          /* exclusive: one backup a group */
	LOCK_SNAP_SHARED,    /* base, reader, verify */
	LOCK_SNAP_EXCLUSIVE, /* forget, prune, the snapshot being made */
	LOCK_GROUP_TREE,     /* the group and all its snapshots, exclusive */
};

struct lock_target {
	const char *store;
	const struct backup_ns *ns;
	const struct backup_group *group;
	int64_t time; /* of a snapshot, else ignored */
};

/* holder: a session's id or a job's (both from lockdb_new_id()). */
struct lock_info {
	enum lock_kind kind;
	uint64_t holder;
	int64_t since;
	char what[LOCKDB_WHAT_MAX]; /* "backup by a@pbs" */
	char store[IPC_STORE_MAX + 1];
	char ns[IPC_NS_MAX + 1];
	struct backup_group group;
	int64_t time;
};

/* dir is made (0700) if it is not there.  *rebooted_out: records of another
 * boot were dropped.  map_size 0: LOCKDB_MAP_SIZE. */
int lockdb_open(struct lockdb **out, const char *dir, size_t map_size,
    bool *rebooted_out, struct err *e);
void lockdb_close(struct lockdb **db);

/* Never 0, never used before in this boot; random. */
uint64_t lockdb_new_id(void);

/* One transaction.  Errors of writes stick; commit tells.  Both ends consume
 * it. */
int lockdb_begin(struct lockdb *db, bool write, struct lockdb_txn **out,
    struct err *e);
int lockdb_commit(struct lockdb_txn **t, struct err *e);
void lockdb_abort(struct lockdb_txn **t);

/* Taking one's own lock again is success.  conflict_out, if not NULL, gets
 * the holder in the way on ERR_LOCKED. */
int lockdb_lock(struct lockdb_txn *t, enum lock_kind kind,
    const struct lock_target *target, uint64_t holder, const char *what,
    struct lock_info *conflict_out, struct err *e);
/* One that is not held is success. */
int lockdb_unlock(struct lockdb_txn *t, enum lock_kind kind,
    const struct lock_target *target, uint64_t holder, struct err *e);
int lockdb_unlock_all(struct lockdb_txn *t, uint64_t holder, struct err *e);
/* Every lock; store NULL: of all.  fn returns 0 to go on, and must not
 * write. */
int lockdb_each_lock(struct lockdb_txn *t, const char *store,
    int (*fn)(void *ctx, const struct lock_info *lock), void *ctx,
    struct err *e);

/* ---- sessions ---- */

#define LOCKDB_SESSION_VERSION 1

struct lockdb_session {
	uint64_t id;
	uint8_t resume_hash[32]; /* SHA-256 of the resume key */
	enum session_kind kind;
	uint32_t state; /* the session's own enum */
	uint32_t flags; /* SESSION_FLAG_* */
	char store[IPC_STORE_MAX + 1];
	struct backup_ns ns;
	struct backup_snapshot snap;
	int64_t base_time; /* 0: no base */
	int64_t started;
	char auth_id[IPC_AUTHID_MAX + 1];
	char peer[IPC_PEER_MAX + 1];
	char upid[IPC_UPID_MAX + 1];
	uint32_t worker_pid;
	uint32_t check_state; /* of reused chunks; the session's own enum */
};

int lockdb_session_put(struct lockdb_txn *t, const struct lockdb_session *s,
    struct err *e);
/* 1, 0 (none), -1. */
int lockdb_session_get(struct lockdb_txn *t, uint64_t id,
    struct lockdb_session *out, struct err *e);
/* With its files. */
int lockdb_session_del(struct lockdb_txn *t, uint64_t id, struct err *e);
int lockdb_each_session(struct lockdb_txn *t,
    int (*fn)(void *ctx, const struct lockdb_session *s), void *ctx,
    struct err *e);

/* What a session opened and made, one record each: resume needs it. */
enum lockdb_file_kind {
	LOCKDB_FILE_OPENED = 1, /* of the base or snapshot; number: its file */
	LOCKDB_FILE_WRITER,     /* an index; number: its writer */
	LOCKDB_FILE_BLOB,       /* number: counted by the session */
};
#define LOCKDB_FILE_F_CLOSED 0x1u /* a writer: index is complete */
#define LOCKDB_FILE_F_REUSE 0x2u  /* a writer: began as a copy of the base's */

struct lockdb_file {
	enum lockdb_file_kind kind;
	uint32_t number;
	uint32_t archive; /* enum archive_kind */
	uint32_t flags;
	uint64_t size;    /* announced, or of the blob */
	uint64_t entries; /* of an opened index */
	uint8_t csum[32];
	char name[IPC_NAME_MAX + 1];
};

int lockdb_file_put(struct lockdb_txn *t, uint64_t session,
    const struct lockdb_file *f, struct err *e);
/* Ordered by kind and number. */
int lockdb_each_file(struct lockdb_txn *t, uint64_t session,
    int (*fn)(void *ctx, const struct lockdb_file *f), void *ctx,
    struct err *e);

/* ---- tombstones ---- */

struct lockdb_tombstone {
	uint64_t id;
	uint8_t resume_hash[32];
	uint64_t expiry_ms;          /* CLOCK_BOOTTIME */
	uint32_t code;               /* enum err_code: ERR_OK: finished */
	char text[IPC_TEXT_MAX + 1]; /* why it was aborted */
};

/* The end of a session, all in the caller's transaction: its locks, record
 * and files go, the tombstone (may be NULL) stays, if there is room. */
int lockdb_session_end(struct lockdb_txn *t, uint64_t id,
    const struct lockdb_tombstone *tomb, struct err *e);
/* 1, 0 (none or expired), -1. */
int lockdb_tombstone_get(struct lockdb_txn *t, uint64_t id, uint64_t now_ms,
    struct lockdb_tombstone *out, struct err *e);
int lockdb_tombstones_expire(struct lockdb_txn *t, uint64_t now_ms,
    struct err *e);

#endif

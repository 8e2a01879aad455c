#ifndef COMMON_LMDB_H
#define COMMON_LMDB_H

#include <sys/types.h>

#include <stddef.h>

struct err;
struct lmdb;
struct lmdb_txn;

/*
 * LMDB.  Open once per process, after fork; never open() the file otherwise
 * (closing it drops LMDB's locks).  Keep transactions short and never across
 * a return to the loop.  A write transaction remembers its first error: the
 * later calls fail with it and the commit aborts, so a chain of puts needs one
 * check.  Codes: MDB_MAP_FULL, ENOSPC ERR_NOSPACE; MDB_CORRUPTED and the like
 * ERR_CORRUPT; EIO ERR_IO; else ERR_DB.  All calls may block on the disk and
 * on another writer.  Once a commit has failed, the next transaction that has
 * no other beside it opens the database anew, so handles stay what they were.
 */
#define LMDB_F_NOSYNC 0x1 /* survives kill -9, not a power cut */
#define LMDB_F_RDONLY 0x2
#define LMDB_F_CREATE 0x4 /* make folder (0700) and file, if need be; lasts */

#define LMDB_KEY_MAX 511

/*
 * dir holds data.mdb and lock.mdb, made with mode.  Clears stale readers.
 * max_dbs: how many named databases.
 */
int lmdb_open(struct lmdb **out, const char *dir, size_t map_size,
    unsigned int max_dbs, unsigned int flags, mode_t mode, struct err *e);
void lmdb_close(struct lmdb **l); /* no transaction may be open */
/* Opens the named database, making it unless read-only; before any other
 * transaction is open in this thread. */
int lmdb_db_open(struct lmdb *l, const char *name, unsigned int *db_out,
    struct err *e);

int lmdb_begin(struct lmdb *l, int write, struct lmdb_txn **out, struct err *e);
/* Both consume the transaction, whatever happens, and make it NULL. */
int lmdb_commit(struct lmdb_txn **t, struct err *e);
void lmdb_abort(struct lmdb_txn **t); /* NULL inside is fine */

/* 1 found, 0 not there, -1.  The value is lent until the next write in, or
 * the end of, the transaction, and may be unaligned. */
int lmdb_get(struct lmdb_txn *t, unsigned int db, const void *key,
    size_t key_len, const void **val_out, size_t *len_out, struct err *e);
int lmdb_put(struct lmdb_txn *t, unsigned int db, const void *key,
    size_t key_len, const void *val, size_t len, struct err *e);
/* ERR_EXISTS, which does not spoil the transaction, if the key is there. */
int lmdb_insert(struct lmdb_txn *t, unsigned int db, const void *key,
    size_t key_len, const void *val, size_t len, struct err *e);
/* 1 deleted, 0 not there, -1. */
int lmdb_del(struct lmdb_txn *t, unsigned int db, const void *key,
    size_t key_len, struct err *e);

/* Deletes all that is in it, whose room is free from the commit on. */
int lmdb_db_empty(struct lmdb_txn *t, unsigned int db, struct err *e);

/* Bytes of the map that the database holds, without what is free. */
int lmdb_db_size(struct lmdb_txn *t, unsigned int db, size_t *size_out,
    struct err *e);

/*
 * Calls fn for every key that starts with prefix (len 0: all), in order,
 * until it returns non-zero.  -1 if fn returned negative (e is fn's to fill)
 * or the database failed, else 0.  fn must not write.
 */
int lmdb_each(struct lmdb_txn *t, unsigned int db, const void *prefix,
    size_t len,
    int (*fn)(void *ctx, const void *key, size_t key_len, const void *val,
	size_t val_len),
    void *ctx, struct err *e);
/* Deletes every key that starts with prefix; the count, or -1. */
ssize_t lmdb_del_prefix(struct lmdb_txn *t, unsigned int db, const void *prefix,
    size_t len, struct err *e);

#endif

#ifndef VALIDATOR_STORE_LOCKDB_INT_H
#define VALIDATOR_STORE_LOCKDB_INT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/ipc_fields.h"
#include "common/wire.h"
#include "validator/store/lockdb.h"

/* For lockdb.c, lockdb_session.c and their tests. */

struct lmdb;
struct lmdb_txn;

enum lockdb_db {
	LOCKDB_META,
	LOCKDB_LOCKS,
	LOCKDB_HELD,     /* holder, key of the lock */
	LOCKDB_SESSIONS, /* by id */
	LOCKDB_FILES,    /* by id, kind, number */
	LOCKDB_TOMBSTONES,
	LOCKDB_DB_COUNT
};

struct lockdb {
	struct lmdb *env;
	unsigned int dbs[LOCKDB_DB_COUNT];
};

struct lockdb_txn {
	struct lockdb *db;
	struct lmdb_txn *t;
};

#define LOCK_RECORD_MAX \
	(64 + LOCKDB_WHAT_MAX + IPC_STORE_MAX + IPC_NS_MAX + IPC_ID_MAX)

/* Big-endian, so that LMDB's order is that of the numbers. */
static inline void
lockdb_put_id(uint8_t *dst, uint64_t id)
{
	int i;

	for (i = 0; i < 8; i++)
		dst[i] = (uint8_t)(id >> (56 - 8 * i));
}

static inline size_t
lockdb_held_key(uint8_t *dst, uint64_t holder, const void *key, size_t len)
{
	/* LMDB's limit; what is cut off differs in the front already, since
	 * keys of locks are at most 33 + 380 + 40 bytes. */
	if (len > 500)
		len = 500;
	lockdb_put_id(dst, holder);
	memcpy(dst + 8, key, len);
	return 8 + len;
}

#endif

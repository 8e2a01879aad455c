#ifndef VALIDATOR_STORE_LOCKDB_INT_H
#define VALIDATOR_STORE_LOCKDB_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Shared by the files of lockdb and its tests. */
struct err;
struct lmdb;
struct lmdb_txn;
struct lockdb_txn;

enum lockdb_table {
	LOCKDB_LOCKS,    /* lock_key(): lock_info */
	LOCKDB_SESSIONS, /* id: lockdb_session */
	LOCKDB_FILES,    /* id, kind, number: lockdb_file */
	LOCKDB_TOMBS,    /* id: lockdb_tombstone */
	LOCKDB_TABLE_COUNT
};

/* Ids and numbers are big-endian in keys, so that records are in order. */
#define LOCKDB_ID_LEN 8
void lockdb_put_be(uint8_t *dst, uint64_t v, size_t len);
uint64_t lockdb_get_be(const uint8_t *src, size_t len);

/*
 * Before a record is put: keeps a part of the map free, since freeing records
 * needs pages too.  New sessions, files and locks stop at half of it;
 * tombstones, which take their place, at three quarters.  -1 with
 * ERR_NOSPACE, which sticks to the transaction.
 */
int lockdb_check_room(struct lockdb_txn *t, enum lockdb_table table,
    const void *key, size_t key_len, struct err *e);
bool lockdb_has_room_for_tombstone(struct lockdb_txn *t);

struct lmdb_txn *lockdb_lmdb(struct lockdb_txn *t);
unsigned int lockdb_table(const struct lockdb_txn *t, enum lockdb_table table);

#endif

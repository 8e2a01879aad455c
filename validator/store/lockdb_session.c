/*
 * The lock database's records of sessions, their files, and tombstones.  As
 * in lockdb.c: the loop's, and every record is decoded with bounds.
 */
#include "config.h"

#include "validator/store/lockdb.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/lmdb.h"
#include "common/mem.h"
#include "common/wire.h"
#include "validator/store/lockdb_int.h"

#define FILE_KEY_LEN (LOCKDB_ID_LEN + 1 + 4)
#define SESSION_VALUE_MAX 2048
#define FILE_VALUE_MAX 512
#define TOMB_VALUE_MAX 1280
#define FILE_VERSION 1
#define TOMB_VERSION 1

static int
put_record(struct lockdb_txn *t, enum lockdb_table table, const void *key,
    size_t key_len, const struct wire_w *w, struct err *e)
{
	ssize_t len = wire_w_len(w);

	if (len == -1)
		return err_set(e, ERR_INTERNAL, "record is too long");
	return lmdb_put(lockdb_lmdb(t), lockdb_table(t, table), key, key_len,
	    w->start, (size_t)len, e);
}

/* --- sessions ----------------------------------------------------------- */

int
lockdb_session_put(struct lockdb_txn *t, const struct lockdb_session *s,
    struct err *e)
{
	uint8_t key[LOCKDB_ID_LEN], val[SESSION_VALUE_MAX];
	struct wire_w w;

	lockdb_put_be(key, s->id, sizeof(key));
	if (lockdb_check_room(t, LOCKDB_SESSIONS, key, sizeof(key), e) == -1)
		return -1;
	wire_w_init(&w, val, sizeof(val));
	wire_w_u16(&w, LOCKDB_SESSION_VERSION);
	wire_w_bytes(&w, s->resume_hash, sizeof(s->resume_hash));
	wire_w_u8(&w, (uint8_t)s->kind);
	wire_w_u32(&w, s->state);
	wire_w_u32(&w, s->flags);
	wire_w_str16(&w, s->store);
	wire_w_str16(&w, s->ns.name);
	wire_w_u8(&w, (uint8_t)s->snap.group.type);
	wire_w_str16(&w, s->snap.group.id);
	wire_w_i64(&w, s->snap.time);
	wire_w_i64(&w, s->base_time);
	wire_w_i64(&w, s->started);
	wire_w_str16(&w, s->auth_id);
	wire_w_str16(&w, s->peer);
	wire_w_str16(&w, s->upid);
	wire_w_u32(&w, s->worker_pid);
	wire_w_u32(&w, s->check_state);
	return put_record(t, LOCKDB_SESSIONS, key, sizeof(key), &w, e);
}

static int
session_decode(uint64_t id, const void *val, size_t len,
    struct lockdb_session *s)
{
	char ns[IPC_NS_MAX + 1];
	uint8_t kind, type;
	uint16_t version;
	struct wire_r r;

	memset(s, 0, sizeof(*s));
	s->id = id;
	wire_r_init(&r, val, len);
	version = wire_r_u16(&r);
	wire_r_copy(&r, s->resume_hash, sizeof(s->resume_hash));
	kind = wire_r_u8(&r);
	s->state = wire_r_u32(&r);
	s->flags = wire_r_u32(&r);
	wire_r_str16(&r, s->store, sizeof(s->store));
	wire_r_str16(&r, ns, sizeof(ns));
	type = wire_r_u8(&r);
	wire_r_str16(&r, s->snap.group.id, sizeof(s->snap.group.id));
	s->snap.time = wire_r_i64(&r);
	s->base_time = wire_r_i64(&r);
	s->started = wire_r_i64(&r);
	wire_r_str16(&r, s->auth_id, sizeof(s->auth_id));
	wire_r_str16(&r, s->peer, sizeof(s->peer));
	wire_r_str16(&r, s->upid, sizeof(s->upid));
	s->worker_pid = wire_r_u32(&r);
	s->check_state = wire_r_u32(&r);
	if (wire_r_end(&r) == -1 || version != LOCKDB_SESSION_VERSION ||
	    (kind != SESSION_KIND_BACKUP && kind != SESSION_KIND_READER) ||
	    type >= BACKUP_TYPE_COUNT || ns_parse(&s->ns, ns, NULL) == -1)
		return -1;
	s->kind = (enum session_kind)kind;
	s->snap.group.type = (enum backup_type)type;
	return 0;
}

int
lockdb_session_get(struct lockdb_txn *t, uint64_t id,
    struct lockdb_session *out, struct err *e)
{
	uint8_t key[LOCKDB_ID_LEN];
	const void *val;
	size_t len;
	int found;

	lockdb_put_be(key, id, sizeof(key));
	found = lmdb_get(lockdb_lmdb(t), lockdb_table(t, LOCKDB_SESSIONS), key,
	    sizeof(key), &val, &len, e);
	if (found == 1 && session_decode(id, val, len, out) == -1)
		return err_set(e, ERR_CORRUPT, "damaged session record");
	return found;
}

int
lockdb_session_del(struct lockdb_txn *t, uint64_t id, struct err *e)
{
	uint8_t key[LOCKDB_ID_LEN];

	lockdb_put_be(key, id, sizeof(key));
	if (lmdb_del(lockdb_lmdb(t), lockdb_table(t, LOCKDB_SESSIONS), key,
		sizeof(key), e) == -1 ||
	    lmdb_del_prefix(lockdb_lmdb(t), lockdb_table(t, LOCKDB_FILES), key,
		sizeof(key), e) == -1)
		return -1;
	return 0;
}

struct session_walk {
	int (*fn)(void *ctx, const struct lockdb_session *s);
	void *ctx;
	struct err *e;
};

static int
visit_session(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct session_walk *w = ctx;
	struct lockdb_session s;

	if (key_len != LOCKDB_ID_LEN ||
	    session_decode(lockdb_get_be(key, key_len), val, len, &s) == -1)
		return err_set(w->e, ERR_CORRUPT, "damaged session record");
	return w->fn(w->ctx, &s);
}

int
lockdb_each_session(struct lockdb_txn *t,
    int (*fn)(void *ctx, const struct lockdb_session *s), void *ctx,
    struct err *e)
{
	struct session_walk w = {.fn = fn, .ctx = ctx, .e = e};

	return lmdb_each(lockdb_lmdb(t), lockdb_table(t, LOCKDB_SESSIONS), NULL,
	    0, visit_session, &w, e);
}

/* --- files -------------------------------------------------------------- */

int
lockdb_file_put(struct lockdb_txn *t, uint64_t session,
    const struct lockdb_file *f, struct err *e)
{
	uint8_t key[FILE_KEY_LEN], val[FILE_VALUE_MAX];
	struct wire_w w;

	lockdb_put_be(key, session, LOCKDB_ID_LEN);
	key[LOCKDB_ID_LEN] = (uint8_t)f->kind;
	lockdb_put_be(key + LOCKDB_ID_LEN + 1, f->number, 4);
	if (lockdb_check_room(t, LOCKDB_FILES, key, sizeof(key), e) == -1)
		return -1;
	wire_w_init(&w, val, sizeof(val));
	wire_w_u8(&w, FILE_VERSION);
	wire_w_u32(&w, f->archive);
	wire_w_u32(&w, f->flags);
	wire_w_u64(&w, f->size);
	wire_w_u64(&w, f->entries);
	wire_w_bytes(&w, f->csum, sizeof(f->csum));
	wire_w_str16(&w, f->name);
	return put_record(t, LOCKDB_FILES, key, sizeof(key), &w, e);
}

static int
file_decode(const uint8_t *key, const void *val, size_t len,
    struct lockdb_file *f)
{
	uint8_t version;
	struct wire_r r;

	memset(f, 0, sizeof(*f));
	f->kind = (enum lockdb_file_kind)key[LOCKDB_ID_LEN];
	f->number = (uint32_t)lockdb_get_be(key + LOCKDB_ID_LEN + 1, 4);
	wire_r_init(&r, val, len);
	version = wire_r_u8(&r);
	f->archive = wire_r_u32(&r);
	f->flags = wire_r_u32(&r);
	f->size = wire_r_u64(&r);
	f->entries = wire_r_u64(&r);
	wire_r_copy(&r, f->csum, sizeof(f->csum));
	wire_r_str16(&r, f->name, sizeof(f->name));
	if (wire_r_end(&r) == -1 || version != FILE_VERSION ||
	    f->kind < LOCKDB_FILE_OPENED || f->kind > LOCKDB_FILE_BLOB)
		return -1;
	return 0;
}

struct file_walk {
	int (*fn)(void *ctx, const struct lockdb_file *f);
	void *ctx;
	struct err *e;
};

static int
visit_file(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct file_walk *w = ctx;
	struct lockdb_file f;

	if (key_len != FILE_KEY_LEN || file_decode(key, val, len, &f) == -1)
		return err_set(w->e, ERR_CORRUPT, "damaged file record");
	return w->fn(w->ctx, &f);
}

int
lockdb_each_file(struct lockdb_txn *t, uint64_t session,
    int (*fn)(void *ctx, const struct lockdb_file *f), void *ctx, struct err *e)
{
	struct file_walk w = {.fn = fn, .ctx = ctx, .e = e};
	uint8_t key[LOCKDB_ID_LEN];

	lockdb_put_be(key, session, sizeof(key));
	return lmdb_each(lockdb_lmdb(t), lockdb_table(t, LOCKDB_FILES), key,
	    sizeof(key), visit_file, &w, e);
}

/* --- tombstones --------------------------------------------------------- */

static int
tombstone_put(struct lockdb_txn *t, const struct lockdb_tombstone *tomb,
    struct err *e)
{
	uint8_t key[LOCKDB_ID_LEN], val[TOMB_VALUE_MAX];
	struct wire_w w;

	lockdb_put_be(key, tomb->id, sizeof(key));
	wire_w_init(&w, val, sizeof(val));
	wire_w_u8(&w, TOMB_VERSION);
	wire_w_bytes(&w, tomb->resume_hash, sizeof(tomb->resume_hash));
	wire_w_u64(&w, tomb->expiry_ms);
	wire_w_u32(&w, tomb->code);
	wire_w_str16(&w, tomb->text);
	return put_record(t, LOCKDB_TOMBS, key, sizeof(key), &w, e);
}

static int
tombstone_decode(uint64_t id, const void *val, size_t len,
    struct lockdb_tombstone *tomb)
{
	uint8_t version;
	struct wire_r r;

	memset(tomb, 0, sizeof(*tomb));
	tomb->id = id;
	wire_r_init(&r, val, len);
	version = wire_r_u8(&r);
	wire_r_copy(&r, tomb->resume_hash, sizeof(tomb->resume_hash));
	tomb->expiry_ms = wire_r_u64(&r);
	tomb->code = wire_r_u32(&r);
	wire_r_str16(&r, tomb->text, sizeof(tomb->text));
	return wire_r_end(&r) == 0 && version == TOMB_VERSION ? 0 : -1;
}

int
lockdb_session_end(struct lockdb_txn *t, uint64_t id,
    const struct lockdb_tombstone *tomb, struct err *e)
{
	if (lockdb_unlock_all(t, id, e) == -1 ||
	    lockdb_session_del(t, id, e) == -1)
		return -1;
	/* Ending the session matters more than being able to tell of it. */
	if (tomb == NULL || !lockdb_has_room_for_tombstone(t))
		return 0;
	return tombstone_put(t, tomb, e);
}

int
lockdb_tombstone_get(struct lockdb_txn *t, uint64_t id, uint64_t now_ms,
    struct lockdb_tombstone *out, struct err *e)
{
	uint8_t key[LOCKDB_ID_LEN];
	const void *val;
	size_t len;
	int found;

	lockdb_put_be(key, id, sizeof(key));
	found = lmdb_get(lockdb_lmdb(t), lockdb_table(t, LOCKDB_TOMBS), key,
	    sizeof(key), &val, &len, e);
	if (found != 1)
		return found;
	if (tombstone_decode(id, val, len, out) == -1)
		return err_set(e, ERR_CORRUPT, "damaged tombstone");
	return now_ms < out->expiry_ms;
}

struct expired {
	uint64_t now_ms;
	uint64_t *ids; /* collected, since the walk may not delete */
	size_t n;
};

static int
collect_expired(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	uint64_t id = lockdb_get_be(key, key_len);
	struct lockdb_tombstone tomb;
	struct expired *x = ctx;

	/* One that cannot be read goes too. */
	if (tombstone_decode(id, val, len, &tomb) == 0 &&
	    x->now_ms < tomb.expiry_ms)
		return 0;
	x->ids = xreallocarray(x->ids, x->n + 1, sizeof(*x->ids));
	x->ids[x->n++] = id;
	return 0;
}

int
lockdb_tombstones_expire(struct lockdb_txn *t, uint64_t now_ms, struct err *e)
{
	unsigned int tombs = lockdb_table(t, LOCKDB_TOMBS);
	struct expired x = {.now_ms = now_ms};
	uint8_t key[LOCKDB_ID_LEN];
	size_t i;
	int rv;

	rv = lmdb_each(lockdb_lmdb(t), tombs, NULL, 0, collect_expired, &x, e);
	for (i = 0; rv == 0 && i < x.n; i++) {
		lockdb_put_be(key, x.ids[i], sizeof(key));
		if (lmdb_del(lockdb_lmdb(t), tombs, key, sizeof(key), e) == -1)
			rv = -1;
	}
	free(x.ids);
	return rv;
}

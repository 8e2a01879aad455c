/*
 * Sessions, what they opened, and tombstones in the lock database.
 */
#include "config.h"

#include "common/err.h"
#include "common/fields.h"
#include "common/lmdb.h"
#include "validator/store/lockdb_int.h"

#define RECORD_VERSION 1
#define RECORD_MAX 4096

static int
put(struct lockdb_txn *t, enum lockdb_db db, const uint8_t *key, size_t klen,
    const struct wire_w *w, struct err *e)
{
	if (w->error)
		return err_set(e, ERR_INTERNAL,
		    "lock database: record is too long");
	return lmdb_put(t->t, t->db->dbs[db], key, klen, w->start,
	    (size_t)(w->p - w->start), e);
}

/* A record's fields, in the encoding of ipc_fields.h. */
#define SESSION_FIELDS(F)               \
	F(u64, id, 0)                   \
	F(b32, resume_hash, 0)          \
	F(u32, state, 0)                \
	F(u32, flags, 0)                \
	F(str, store, IPC_STORE_MAX)    \
	F(i64, base_time, 0)            \
	F(i64, started, 0)              \
	F(str, auth_id, IPC_AUTHID_MAX) \
	F(str, peer, IPC_PEER_MAX)      \
	F(str, upid, IPC_UPID_MAX)      \
	F(u32, worker_pid, 0)           \
	F(u32, check_state, 0)

static int
session_put_fields(struct wire_w *w,
    const struct lockdb_session *m) MSG_PUT_BODY(SESSION_FIELDS)

    static void session_get_fields(struct wire_r *r, struct lockdb_session *m)
{
	SESSION_FIELDS(MSG_GET)
}

int
lockdb_session_put(struct lockdb_txn *t, const struct lockdb_session *s,
    struct err *e)
{
	uint8_t buf[RECORD_MAX], key[8];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u8(&w, RECORD_VERSION);
	wire_w_u8(&w, (uint8_t)s->kind);
	wire_w_str16(&w, s->ns.name);
	wire_w_u8(&w, (uint8_t)s->snap.group.type);
	wire_w_str16(&w, s->snap.group.id);
	wire_w_i64(&w, s->snap.time);
	session_put_fields(&w, s);
	lockdb_put_id(key, s->id);
	return put(t, LOCKDB_SESSIONS, key, sizeof(key), &w, e);
}

static int
session_decode(const void *val, size_t len, struct lockdb_session *out,
    struct err *e)
{
	char ns[IPC_NS_MAX + 1];
	struct wire_r r;
	uint8_t version;

	memset(out, 0, sizeof(*out));
	wire_r_init(&r, val, len);
	version = wire_r_u8(&r);
	out->kind = (enum session_kind)wire_r_u8(&r);
	wire_r_str16(&r, ns, sizeof(ns));
	out->snap.group.type = (enum backup_type)wire_r_u8(&r);
	wire_r_str16(&r, out->snap.group.id, sizeof(out->snap.group.id));
	out->snap.time = wire_r_i64(&r);
	session_get_fields(&r, out);
	if (version != RECORD_VERSION || wire_r_end(&r) == -1 ||
	    out->snap.group.type >= BACKUP_TYPE_COUNT ||
	    ns_parse(&out->ns, ns, NULL) == -1)
		return err_set(e, ERR_CORRUPT,
		    "lock database: a session's record is damaged");
	return 0;
}

int
lockdb_session_get(struct lockdb_txn *t, uint64_t id,
    struct lockdb_session *out, struct err *e)
{
	const void *val;
	uint8_t key[8];
	size_t len;
	int found;

	lockdb_put_id(key, id);
	found = lmdb_get(t->t, t->db->dbs[LOCKDB_SESSIONS], key, sizeof(key),
	    &val, &len, e);
	if (found == 1 && session_decode(val, len, out, e) == -1)
		return -1;
	return found;
}

int
lockdb_session_del(struct lockdb_txn *t, uint64_t id, struct err *e)
{
	uint8_t key[8];

	lockdb_put_id(key, id);
	if (lmdb_del_prefix(t->t, t->db->dbs[LOCKDB_FILES], key, sizeof(key),
		e) == -1)
		return -1;
	return lmdb_del(t->t, t->db->dbs[LOCKDB_SESSIONS], key, sizeof(key),
		   e) == -1
	    ? -1
	    : 0;
}

struct each_session {
	int (*fn)(void *ctx, const struct lockdb_session *s);
	void *ctx;
	struct err *e;
};

static int
each_session(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct each_session *each = ctx;
	struct lockdb_session s;

	(void)key;
	(void)key_len;
	if (session_decode(val, len, &s, each->e) == -1)
		return -1;
	return each->fn(each->ctx, &s);
}

int
lockdb_each_session(struct lockdb_txn *t,
    int (*fn)(void *ctx, const struct lockdb_session *s), void *ctx,
    struct err *e)
{
	struct each_session each = {.fn = fn, .ctx = ctx, .e = e};

	return lmdb_each(t->t, t->db->dbs[LOCKDB_SESSIONS], "", 0, each_session,
	    &each, e);
}

/* --- files -------------------------------------------------------------- */

#define FILE_FIELDS(F)     \
	F(u32, number, 0)  \
	F(u32, archive, 0) \
	F(u32, flags, 0)   \
	F(u64, size, 0)    \
	F(u64, entries, 0) \
	F(b32, csum, 0)    \
	F(str, name, IPC_NAME_MAX)

static int
file_put_fields(struct wire_w *w, const struct lockdb_file *m)
    MSG_PUT_BODY(FILE_FIELDS)

	static void file_get_fields(struct wire_r *r, struct lockdb_file *m)
{
	FILE_FIELDS(MSG_GET)
}

int
lockdb_file_put(struct lockdb_txn *t, uint64_t session,
    const struct lockdb_file *f, struct err *e)
{
	uint8_t buf[RECORD_MAX], key[8 + 1 + 8];
	struct wire_w w;

	lockdb_put_id(key, session);
	key[8] = (uint8_t)f->kind;
	lockdb_put_id(key + 9, f->number);
	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u8(&w, RECORD_VERSION);
	wire_w_u8(&w, (uint8_t)f->kind);
	file_put_fields(&w, f);
	return put(t, LOCKDB_FILES, key, sizeof(key), &w, e);
}

struct each_file {
	int (*fn)(void *ctx, const struct lockdb_file *f);
	void *ctx;
	struct err *e;
};

static int
each_file(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct each_file *each = ctx;
	struct lockdb_file f = {0};
	struct wire_r r;
	uint8_t version;

	(void)key;
	(void)key_len;
	wire_r_init(&r, val, len);
	version = wire_r_u8(&r);
	f.kind = (enum lockdb_file_kind)wire_r_u8(&r);
	file_get_fields(&r, &f);
	if (version != RECORD_VERSION || wire_r_end(&r) == -1)
		return err_set(each->e, ERR_CORRUPT,
		    "lock database: a file's record is damaged");
	return each->fn(each->ctx, &f);
}

int
lockdb_each_file(struct lockdb_txn *t, uint64_t session,
    int (*fn)(void *ctx, const struct lockdb_file *f), void *ctx, struct err *e)
{
	struct each_file each = {.fn = fn, .ctx = ctx, .e = e};
	uint8_t key[8];

	lockdb_put_id(key, session);
	return lmdb_each(t->t, t->db->dbs[LOCKDB_FILES], key, sizeof(key),
	    each_file, &each, e);
}

/* --- tombstones --------------------------------------------------------- */

#define TOMB_FIELDS(F)         \
	F(u64, id, 0)          \
	F(b32, resume_hash, 0) \
	F(u64, expiry_ms, 0)   \
	F(u32, code, 0)        \
	F(str, text, IPC_TEXT_MAX)

static int
tomb_put_fields(struct wire_w *w,
    const struct lockdb_tombstone *m) MSG_PUT_BODY(TOMB_FIELDS)

    static void tomb_get_fields(struct wire_r *r, struct lockdb_tombstone *m)
{
	TOMB_FIELDS(MSG_GET)
}

static int
tomb_decode(const void *val, size_t len, struct lockdb_tombstone *out,
    struct err *e)
{
	struct wire_r r;
	uint8_t version;

	memset(out, 0, sizeof(*out));
	wire_r_init(&r, val, len);
	version = wire_r_u8(&r);
	tomb_get_fields(&r, out);
	if (version != RECORD_VERSION || wire_r_end(&r) == -1)
		return err_set(e, ERR_CORRUPT,
		    "lock database: a tombstone is damaged");
	return 0;
}

int
lockdb_session_end(struct lockdb_txn *t, uint64_t id,
    const struct lockdb_tombstone *tomb, struct err *e)
{
	uint8_t buf[RECORD_MAX], key[8];
	struct wire_w w;

	if (lockdb_unlock_all(t, id, e) == -1 ||
	    lockdb_session_del(t, id, e) == -1)
		return -1;
	if (tomb == NULL)
		return 0;
	lockdb_put_id(key, id);
	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u8(&w, RECORD_VERSION);
	tomb_put_fields(&w, tomb);
	return put(t, LOCKDB_TOMBSTONES, key, sizeof(key), &w, e);
}

int
lockdb_tombstone_get(struct lockdb_txn *t, uint64_t id, uint64_t now_ms,
    struct lockdb_tombstone *out, struct err *e)
{
	const void *val;
	uint8_t key[8];
	size_t len;
	int found;

	lockdb_put_id(key, id);
	found = lmdb_get(t->t, t->db->dbs[LOCKDB_TOMBSTONES], key, sizeof(key),
	    &val, &len, e);
	if (found != 1)
		return found;
	if (tomb_decode(val, len, out, e) == -1)
		return -1;
	return out->expiry_ms > now_ms ? 1 : 0;
}

struct expiry {
	uint64_t now_ms;
	uint64_t ids[64]; /* the rest goes the next time */
	size_t n;
	struct err *e;
};

static int
find_expired(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct lockdb_tombstone tomb;
	struct expiry *x = ctx;

	(void)key;
	(void)key_len;
	if (tomb_decode(val, len, &tomb, x->e) == -1)
		return -1;
	if (tomb.expiry_ms <= x->now_ms)
		x->ids[x->n++] = tomb.id;
	return x->n == sizeof(x->ids) / sizeof(*x->ids);
}

int
lockdb_tombstones_expire(struct lockdb_txn *t, uint64_t now_ms, struct err *e)
{
	struct expiry x = {.now_ms = now_ms, .e = e};
	uint8_t key[8];
	size_t i;

	if (lmdb_each(t->t, t->db->dbs[LOCKDB_TOMBSTONES], "", 0, find_expired,
		&x, e) == -1)
		return -1;
	for (i = 0; i < x.n; i++) {
		lockdb_put_id(key, x.ids[i]);
		if (lmdb_del(t->t, t->db->dbs[LOCKDB_TOMBSTONES], key,
			sizeof(key), e) == -1)
			return -1;
	}
	return 0;
}

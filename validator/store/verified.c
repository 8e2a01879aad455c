/*
 * This server's own record of verified snapshots, in STATE/validator: only the
 * validator writes it, in one thread at a time.
 */
#include "config.h"

#include "validator/store/verified.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/format/digest.h"
#include "common/lmdb.h"
#include "common/mem.h"
#include "common/wire.h"

#define MAP_SIZE ((size_t)1 << 30)
#define KEY_LEN (2 * DIGEST_LEN)
#define VALUE_LEN 8
#define WAITING_LEN                                                      \
	(4 * 2 + DATASTORE_NAME_MAX + NAMESPACE_MAX + SNAPSHOT_STR_MAX + \
	    AUTH_ID_MAX)

struct verified {
	struct lmdb *env;
	unsigned int db;
	unsigned int waiting;
	size_t map_size;
};

int
verified_open(struct verified **out, const char *dir, size_t map_size,
    struct err *e)
{
	struct verified *v = xcalloc(1, sizeof(*v));

	*out = NULL;
	v->map_size = map_size != 0 ? map_size : MAP_SIZE;
	if (lmdb_open(&v->env, dir, v->map_size, 2, LMDB_F_CREATE, 0600, e) ==
		-1 ||
	    lmdb_db_open(v->env, "snapshots", &v->db, e) == -1 ||
	    lmdb_db_open(v->env, "waiting", &v->waiting, e) == -1) {
		verified_close(&v);
		return -1;
	}
	*out = v;
	return 0;
}

void
verified_close(struct verified **vp)
{
	struct verified *v = *vp;

	if (v == NULL)
		return;
	*vp = NULL;
	if (v->env != NULL)
		lmdb_close(&v->env);
	free(v);
}

/* Digest of the store, then of the snapshot: names may be longer than keys,
 * and all of a store's share a prefix. */
static void
make_key(const char *store, const struct backup_ns *ns,
    const struct backup_snapshot *snap, uint8_t key[KEY_LEN])
{
	struct digest_ctx *ctx = digest_ctx_new();
	char text[SNAPSHOT_STR_MAX + 1];
	struct digest d;

	digest_of(ctx, store, strlen(store), &d);
	memcpy(key, d.b, DIGEST_LEN);
	if (snap != NULL) {
		snapshot_to_str(snap, text);
		digest_update(ctx, ns->name, strlen(ns->name) + 1);
		digest_update(ctx, text, strlen(text) + 1);
		digest_final(ctx, &d);
		memcpy(key + DIGEST_LEN, d.b, DIGEST_LEN);
	}
	digest_ctx_free(ctx);
}

/* LMDB needs room for deletions too, so a table stops long before the map
 * is full. */
static bool
has_room(const struct verified *v, struct lmdb_txn *t, unsigned int db)
{
	size_t size;

	return lmdb_db_size(t, db, &size, NULL) == 0 && size <= v->map_size / 2;
}

int
verified_put(struct verified *v, const char *store, const struct backup_ns *ns,
    const struct backup_snapshot *snap, int64_t when, struct err *e)
{
	uint8_t key[KEY_LEN], val[VALUE_LEN];
	struct lmdb_txn *t;
	struct wire_w w;
	bool full;

	make_key(store, ns, snap, key);
	wire_w_init(&w, val, sizeof(val));
	wire_w_i64(&w, when);
	if (lmdb_begin(v->env, 1, &t, e) == -1)
		return -1;
	full = !has_room(v, t, v->db);
	if (full)
		lmdb_db_empty(t, v->db, NULL);
	lmdb_put(t, v->db, key, sizeof(key), val, sizeof(val), NULL);
	return lmdb_commit(&t, e) == 0 ? full : -1;
}

int
verified_get(struct verified *v, const char *store, const struct backup_ns *ns,
    const struct backup_snapshot *snap, int64_t *when_out, struct err *e)
{
	uint8_t key[KEY_LEN];
	struct lmdb_txn *t;
	struct wire_r r;
	const void *val;
	size_t len;
	int found;

	*when_out = 0;
	make_key(store, ns, snap, key);
	if (lmdb_begin(v->env, 0, &t, e) == -1)
		return -1;
	found = lmdb_get(t, v->db, key, sizeof(key), &val, &len, e);
	if (found == 1) {
		wire_r_init(&r, val, len);
		*when_out = wire_r_i64(&r);
		/* Damaged is as good as none: the base is checked then. */
		if (wire_r_end(&r) == -1)
			found = 0;
	}
	lmdb_abort(&t);
	return found;
}

int
verified_del(struct verified *v, const char *store, const struct backup_ns *ns,
    const struct backup_group *g, const int64_t *times, size_t n, struct err *e)
{
	struct backup_snapshot snap = {.group = *g};
	uint8_t key[KEY_LEN];
	struct lmdb_txn *t;
	size_t i;

	if (lmdb_begin(v->env, 1, &t, e) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		snap.time = times[i];
		make_key(store, ns, &snap, key);
		lmdb_del(t, v->db, key, sizeof(key), NULL);
	}
	return lmdb_commit(&t, e);
}

int
verified_del_store(struct verified *v, const char *store, struct err *e)
{
	uint8_t key[KEY_LEN];
	struct lmdb_txn *t;

	make_key(store, NULL, NULL, key);
	if (lmdb_begin(v->env, 1, &t, e) == -1)
		return -1;
	lmdb_del_prefix(t, v->db, key, DIGEST_LEN, NULL);
	lmdb_del_prefix(t, v->waiting, key, DIGEST_LEN, NULL);
	return lmdb_commit(&t, e);
}

/* --- what waits --- */

int
verified_begin(struct verified *v, const char *store,
    const struct backup_ns *ns, const struct backup_snapshot *snap, bool wanted,
    const char *auth_id, struct err *e)
{
	uint8_t key[KEY_LEN], val[WAITING_LEN];
	char text[SNAPSHOT_STR_MAX + 1];
	struct lmdb_txn *t;
	struct wire_w w;
	bool full;

	make_key(store, ns, snap, key);
	if (lmdb_begin(v->env, 1, &t, e) == -1)
		return -1;
	lmdb_del(t, v->db, key, sizeof(key), NULL);
	full = wanted && !has_room(v, t, v->waiting);
	if (wanted && !full) {
		snapshot_to_str(snap, text);
		wire_w_init(&w, val, sizeof(val));
		wire_w_str16(&w, store);
		wire_w_str16(&w, ns->name);
		wire_w_str16(&w, text);
		wire_w_str16(&w, auth_id);
		lmdb_put(t, v->waiting, key, sizeof(key), val,
		    (size_t)wire_w_len(&w), NULL);
	}
	if (lmdb_commit(&t, e) == -1)
		return -1;
	return full ? err_set(e, ERR_NOSPACE,
			  "too many new snapshots wait for verification")
		    : 0;
}

int
verified_end(struct verified *v, const char *store, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e)
{
	uint8_t key[KEY_LEN];
	struct lmdb_txn *t;

	make_key(store, ns, snap, key);
	if (lmdb_begin(v->env, 1, &t, e) == -1)
		return -1;
	lmdb_del(t, v->waiting, key, sizeof(key), NULL);
	return lmdb_commit(&t, e);
}

struct each {
	void (*fn)(void *arg, const char *store, const struct backup_ns *ns,
	    const struct backup_snapshot *snap, const char *auth_id);
	void *arg;
};

/* A damaged one is none. */
static int
each_waiting(void *ctx, const void *key, size_t key_len, const void *val,
    size_t val_len)
{
	char store[DATASTORE_NAME_MAX + 1], name[NAMESPACE_MAX + 1];
	char text[SNAPSHOT_STR_MAX + 1], auth_id[AUTH_ID_MAX + 1];
	const struct each *each = ctx;
	struct backup_snapshot snap;
	struct backup_ns ns;
	struct wire_r r;

	(void)key;
	(void)key_len;
	wire_r_init(&r, val, val_len);
	wire_r_str16(&r, store, sizeof(store));
	wire_r_str16(&r, name, sizeof(name));
	wire_r_str16(&r, text, sizeof(text));
	wire_r_str16(&r, auth_id, sizeof(auth_id));
	if (wire_r_end(&r) == 0 && ns_parse(&ns, name, NULL) == 0 &&
	    snapshot_parse(&snap, text, NULL) == 0)
		each->fn(each->arg, store, &ns, &snap, auth_id);
	return 0;
}

int
verified_each_waiting(struct verified *v,
    void (*fn)(void *arg, const char *store, const struct backup_ns *ns,
	const struct backup_snapshot *snap, const char *auth_id),
    void *arg, struct err *e)
{
	struct each each = {fn, arg};
	struct lmdb_txn *t;
	int rv;

	if (lmdb_begin(v->env, 0, &t, e) == -1)
		return -1;
	rv = lmdb_each(t, v->waiting, NULL, 0, each_waiting, &each, e);
	lmdb_abort(&t);
	return rv;
}

/*
 * This server's own record of verified snapshots, in STATE/validator: only the
 * validator writes it, in one thread at a time.
 */
#include "config.h"

#include "validator/store/verified.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/digest.h"
#include "common/lmdb.h"
#include "common/mem.h"
#include "common/wire.h"

#define MAP_SIZE                                                    \
	((size_t)1 << 30) /* of addresses; the file grows as needed \
			   */
#define KEY_LEN (2 * DIGEST_LEN)
#define VALUE_LEN 8

struct verified {
	struct lmdb *env;
	unsigned int db;
};

int
verified_open(struct verified **out, const char *dir, struct err *e)
{
	struct verified *v = xcalloc(1, sizeof(*v));

	*out = NULL;
	if (lmdb_open(&v->env, dir, MAP_SIZE, 1, LMDB_F_CREATE, 0600, e) ==
		-1 ||
	    lmdb_db_open(v->env, "snapshots", &v->db, e) == -1) {
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

int
verified_put(struct verified *v, const char *store, const struct backup_ns *ns,
    const struct backup_snapshot *snap, int64_t when, struct err *e)
{
	uint8_t key[KEY_LEN], val[VALUE_LEN];
	struct lmdb_txn *t;
	struct wire_w w;

	make_key(store, ns, snap, key);
	wire_w_init(&w, val, sizeof(val));
	wire_w_i64(&w, when);
	if (lmdb_begin(v->env, 1, &t, e) == -1)
		return -1;
	lmdb_put(t, v->db, key, sizeof(key), val, sizeof(val), NULL);
	return lmdb_commit(&t, e);
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

static int
del(struct verified *v, const uint8_t *key, size_t len, struct err *e)
{
	struct lmdb_txn *t;

	if (lmdb_begin(v->env, 1, &t, e) == -1)
		return -1;
	lmdb_del_prefix(t, v->db, key, len, NULL);
	return lmdb_commit(&t, e);
}

int
verified_del(struct verified *v, const char *store, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct err *e)
{
	uint8_t key[KEY_LEN];

	make_key(store, ns, snap, key);
	return del(v, key, sizeof(key), e);
}

int
verified_del_store(struct verified *v, const char *store, struct err *e)
{
	uint8_t key[KEY_LEN];

	make_key(store, NULL, NULL, key);
	return del(v, key, DIGEST_LEN, e);
}

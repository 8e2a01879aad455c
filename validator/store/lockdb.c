/*
 * The lock database: transactions and locks.  Only the validator opens it;
 * what is in it survives the validator, so every record is decoded with
 * bounds, as one that an older version wrote may be there.
 */
#include "config.h"

#include "validator/store/lockdb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/digest.h"
#include "common/io.h"
#include "common/lmdb.h"
#include "common/mem.h"
#include "validator/store/lockdb_int.h"

#define LOCK_RECORD_VERSION 1
#define KEY_MAX LMDB_KEY_MAX

/*
 * Keys of the locks: store NUL namespace NUL type "/" id NUL, then
 *   "g"                         the group
 *   "t"                         the group's tree
 *   "x" time (20 characters)    a snapshot, exclusive
 *   "s" time holder (16 hex)    a snapshot, shared: one record a holder
 * so all locks of a group lie together.  A key that would be too long has the
 * hash of the name in the id's place.
 */
struct lock_key {
	char b[KEY_MAX];
	size_t len;
	size_t group_len; /* the part that all locks of the group share */
};

static void
key_add(struct lock_key *k, const char *s, size_t len)
{
	if (len > sizeof(k->b) - k->len)
		len = sizeof(k->b) - k->len; /* cannot be: see key_group() */
	memcpy(k->b + k->len, s, len);
	k->len += len;
}

static void
key_group(struct lock_key *k, const struct lock_target *t)
{
	char group[GROUP_STR_MAX + 1], hash[DIGEST_HEX_LEN + 1];
	const char *ns = t->ns->name;
	struct digest_ctx *ctx;
	struct digest d;

	k->len = 0;
	group_to_str(t->group, group);
	key_add(k, t->store, strlen(t->store) + 1);
	/* 33 + 257 + 261 + 40 is more than LMDB takes. */
	if (strlen(ns) + strlen(group) > 380) {
		ctx = digest_ctx_new();
		digest_reset(ctx);
		digest_update(ctx, ns, strlen(ns) + 1);
		digest_update(ctx, group, strlen(group));
		digest_final(ctx, &d);
		digest_ctx_free(ctx);
		digest_to_hex(&d, hash);
		key_add(k, "#", 1); /* no namespace starts so */
		key_add(k, hash, DIGEST_HEX_LEN + 1);
	} else {
		key_add(k, ns, strlen(ns) + 1);
		key_add(k, group, strlen(group) + 1);
	}
	k->group_len = k->len;
}

static void
key_lock(struct lock_key *k, enum lock_kind kind, const struct lock_target *t,
    uint64_t holder)
{
	char time[BACKUP_TIME_LEN + 1], id[17];

	k->len = k->group_len;
	if (kind == LOCK_GROUP || kind == LOCK_GROUP_TREE) {
		key_add(k, kind == LOCK_GROUP ? "g" : "t", 1);
		return;
	}
	backup_time_to_str(t->time, time);
	key_add(k, kind == LOCK_SNAP_EXCLUSIVE ? "x" : "s", 1);
	key_add(k, time, BACKUP_TIME_LEN);
	if (kind == LOCK_SNAP_SHARED && holder != 0) {
		snprintf(id, sizeof(id), "%016" PRIx64, holder);
		key_add(k, id, 16);
	}
}

/* --- opening ------------------------------------------------------------ */

/* Allocates the whole file, so that a full runtime file system can stop the
 * start but never a running validator. */
static int
allocate(const char *dir, size_t map_size, struct err *e)
{
	char path[4096];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	fd = io_openat(AT_FDCWD, path, O_RDWR | O_NOFOLLOW, 0, e);
	if (fd == -1)
		return -1;
	rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)map_size) == -1;
	io_close(&fd);
	/* Where that is not known, writes allocate as they go. */
	if (rc != 0 && errno == ENOSPC)
		return err_errno(e, errno, "allocate %s", path);
	return 0;
}

/* Records of another boot are worth nothing: their processes are gone, and
 * the folder should have been too. */
static int
drop_other_boot(struct lockdb *db, bool *rebooted_out, struct err *e)
{
	char boot[37];
	struct lmdb_txn *t;
	const void *val;
	size_t len, i;
	int found;

	if (io_boot_id(boot, e) == -1 || lmdb_begin(db->env, 1, &t, e) == -1)
		return -1;
	found = lmdb_get(t, db->dbs[LOCKDB_META], "boot", 4, &val, &len, e);
	if (found == -1) {
		lmdb_abort(&t);
		return -1;
	}
	*rebooted_out =
	    found == 1 && (len != strlen(boot) || memcmp(val, boot, len) != 0);
	for (i = 0; *rebooted_out && i < LOCKDB_DB_COUNT; i++)
		lmdb_del_prefix(t, db->dbs[i], "", 0, NULL);
	lmdb_put(t, db->dbs[LOCKDB_META], "boot", 4, boot, strlen(boot), NULL);
	return lmdb_commit(&t, e);
}

int
lockdb_open(struct lockdb **out, const char *dir, size_t map_size,
    bool *rebooted_out, struct err *e)
{
	static const char *const names[LOCKDB_DB_COUNT] = {
	    [LOCKDB_META] = "meta",
	    [LOCKDB_LOCKS] = "locks",
	    [LOCKDB_HELD] = "held",
	    [LOCKDB_SESSIONS] = "sessions",
	    [LOCKDB_FILES] = "files",
	    [LOCKDB_TOMBSTONES] = "tombstones",
	};
	struct lockdb *db = xcalloc(1, sizeof(*db));
	size_t i;

	*out = NULL;
	*rebooted_out = false;
	if (map_size == 0)
		map_size = LOCKDB_MAP_SIZE;
	if (lmdb_open(&db->env, dir, map_size, LOCKDB_DB_COUNT,
		LMDB_F_NOSYNC | LMDB_F_CREATE, 0600, e) == -1 ||
	    allocate(dir, map_size, e) == -1)
		goto fail;
	for (i = 0; i < LOCKDB_DB_COUNT; i++)
		if (lmdb_db_open(db->env, names[i], &db->dbs[i], e) == -1)
			goto fail;
	if (drop_other_boot(db, rebooted_out, e) == -1)
		goto fail;
	*out = db;
	return 0;
fail:
	lockdb_close(&db);
	return -1;
}

void
lockdb_close(struct lockdb **dbp)
{
	struct lockdb *db = *dbp;

	if (db == NULL)
		return;
	*dbp = NULL;
	lmdb_close(&db->env);
	free(db);
}

uint64_t
lockdb_new_id(void)
{
	uint64_t id;

	do
		io_random(&id, sizeof(id));
	while (id == 0);
	return id;
}

int
lockdb_begin(struct lockdb *db, bool write, struct lockdb_txn **out,
    struct err *e)
{
	struct lmdb_txn *t;

	*out = NULL;
	if (lmdb_begin(db->env, write, &t, e) == -1)
		return err_wrap(e, "lock database");
	*out = xcalloc(1, sizeof(**out));
	(*out)->db = db;
	(*out)->t = t;
	return 0;
}

int
lockdb_commit(struct lockdb_txn **tp, struct err *e)
{
	struct lockdb_txn *t = *tp;
	int rv;

	*tp = NULL;
	rv = lmdb_commit(&t->t, e);
	if (rv == -1)
		err_wrap(e, "lock database");
	free(t);
	return rv;
}

void
lockdb_abort(struct lockdb_txn **tp)
{
	struct lockdb_txn *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	lmdb_abort(&t->t);
	free(t);
}

/* --- records ------------------------------------------------------------ */

static size_t
lock_encode(uint8_t *buf, size_t max, enum lock_kind kind,
    const struct lock_target *t, uint64_t holder, const char *what)
{
	struct wire_w w;

	wire_w_init(&w, buf, max);
	wire_w_u8(&w, LOCK_RECORD_VERSION);
	wire_w_u8(&w, (uint8_t)kind);
	wire_w_u64(&w, holder);
	wire_w_i64(&w, io_realtime_s());
	wire_w_str16(&w, what);
	wire_w_str16(&w, t->store);
	wire_w_str16(&w, t->ns->name);
	wire_w_u8(&w, (uint8_t)t->group->type);
	wire_w_str16(&w, t->group->id);
	wire_w_i64(&w, t->time);
	return (size_t)(w.p - w.start);
}

static int
lock_decode(const void *val, size_t len, struct lock_info *out, struct err *e)
{
	struct wire_r r;
	uint8_t version;

	wire_r_init(&r, val, len);
	version = wire_r_u8(&r);
	out->kind = (enum lock_kind)wire_r_u8(&r);
	out->holder = wire_r_u64(&r);
	out->since = wire_r_i64(&r);
	wire_r_str16(&r, out->what, sizeof(out->what));
	wire_r_str16(&r, out->store, sizeof(out->store));
	wire_r_str16(&r, out->ns, sizeof(out->ns));
	out->group.type = (enum backup_type)wire_r_u8(&r);
	wire_r_str16(&r, out->group.id, sizeof(out->group.id));
	out->time = wire_r_i64(&r);
	if (version != LOCK_RECORD_VERSION || wire_r_end(&r) == -1 ||
	    out->kind > LOCK_GROUP_TREE || out->group.type >= BACKUP_TYPE_COUNT)
		return err_set(e, ERR_CORRUPT,
		    "lock database: a lock's record is damaged");
	return 0;
}

/* --- taking and freeing ------------------------------------------------- */

/* What a lock of this kind cannot stand beside. */
static bool
excludes(enum lock_kind wanted, int64_t wanted_time,
    const struct lock_info *held)
{
	bool same_time = held->time == wanted_time;

	switch (wanted) {
	case LOCK_GROUP_TREE:
		return true;
	case LOCK_GROUP:
		return held->kind == LOCK_GROUP ||
		    held->kind == LOCK_GROUP_TREE;
	case LOCK_SNAP_SHARED:
		return held->kind == LOCK_GROUP_TREE ||
		    (held->kind == LOCK_SNAP_EXCLUSIVE && same_time);
	case LOCK_SNAP_EXCLUSIVE:
		return held->kind == LOCK_GROUP_TREE ||
		    ((held->kind == LOCK_SNAP_EXCLUSIVE ||
			 held->kind == LOCK_SNAP_SHARED) &&
			same_time);
	}
	return true;
}

struct conflict_search {
	enum lock_kind wanted;
	int64_t time;
	uint64_t holder;
	struct lock_info found;
	bool conflict;
	struct err *e;
};

static int
search_conflict(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct conflict_search *c = ctx;

	(void)key;
	(void)key_len;
	if (lock_decode(val, len, &c->found, c->e) == -1)
		return -1;
	if (c->found.holder == c->holder ||
	    !excludes(c->wanted, c->time, &c->found))
		return 0;
	c->conflict = true;
	return 1;
}

int
lockdb_lock(struct lockdb_txn *t, enum lock_kind kind,
    const struct lock_target *target, uint64_t holder, const char *what,
    struct lock_info *conflict_out, struct err *e)
{
	struct conflict_search c = {.wanted = kind,
	    .time = target->time,
	    .holder = holder,
	    .e = e};
	uint8_t val[LOCK_RECORD_MAX], held[8 + KEY_MAX];
	struct lock_key k;
	size_t len;

	key_group(&k, target);
	if (lmdb_each(t->t, t->db->dbs[LOCKDB_LOCKS], k.b, k.group_len,
		search_conflict, &c, e) == -1)
		return -1;
	if (c.conflict) {
		if (conflict_out != NULL)
			*conflict_out = c.found;
		return err_set(e, ERR_LOCKED, "held by %s", c.found.what);
	}
	key_lock(&k, kind, target, holder);
	len = lock_encode(val, sizeof(val), kind, target, holder, what);
	if (lmdb_put(t->t, t->db->dbs[LOCKDB_LOCKS], k.b, k.len, val, len, e) ==
	    -1)
		return -1;
	/* By holder, so that all of a session's go in one sweep. */
	len = lockdb_held_key(held, holder, k.b, k.len);
	return lmdb_put(t->t, t->db->dbs[LOCKDB_HELD], held, len, k.b, k.len,
	    e);
}

int
lockdb_unlock(struct lockdb_txn *t, enum lock_kind kind,
    const struct lock_target *target, uint64_t holder, struct err *e)
{
	uint8_t held[8 + KEY_MAX];
	struct lock_key k;
	size_t len;
	int found;

	key_group(&k, target);
	key_lock(&k, kind, target, holder);
	len = lockdb_held_key(held, holder, k.b, k.len);
	found = lmdb_del(t->t, t->db->dbs[LOCKDB_HELD], held, len, e);
	if (found != 1)
		return found;
	return lmdb_del(t->t, t->db->dbs[LOCKDB_LOCKS], k.b, k.len, e) == -1
	    ? -1
	    : 0;
}

struct held_keys {
	struct lock_key *v;
	size_t n;
};

static int
collect_held(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct held_keys *h = ctx;

	(void)key;
	(void)key_len;
	h->v = xreallocarray(h->v, h->n + 1, sizeof(*h->v));
	h->v[h->n].len = len < KEY_MAX ? len : KEY_MAX;
	memcpy(h->v[h->n].b, val, h->v[h->n].len);
	h->n++;
	return 0;
}

int
lockdb_unlock_all(struct lockdb_txn *t, uint64_t holder, struct err *e)
{
	struct held_keys h = {0};
	uint8_t prefix[8 + KEY_MAX];
	size_t i, len = lockdb_held_key(prefix, holder, "", 0);
	int rv;

	rv = lmdb_each(t->t, t->db->dbs[LOCKDB_HELD], prefix, len, collect_held,
	    &h, e);
	for (i = 0; rv == 0 && i < h.n; i++)
		if (lmdb_del(t->t, t->db->dbs[LOCKDB_LOCKS], h.v[i].b,
			h.v[i].len, e) == -1)
			rv = -1;
	free(h.v);
	if (rv == 0 &&
	    lmdb_del_prefix(t->t, t->db->dbs[LOCKDB_HELD], prefix, len, e) ==
		-1)
		rv = -1;
	return rv;
}

struct each_lock {
	int (*fn)(void *ctx, const struct lock_info *lock);
	void *ctx;
	struct err *e;
};

static int
each_lock(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct each_lock *each = ctx;
	struct lock_info info;

	(void)key;
	(void)key_len;
	if (lock_decode(val, len, &info, each->e) == -1)
		return -1;
	return each->fn(each->ctx, &info);
}

int
lockdb_each_lock(struct lockdb_txn *t, const char *store,
    int (*fn)(void *ctx, const struct lock_info *lock), void *ctx,
    struct err *e)
{
	struct each_lock each = {.fn = fn, .ctx = ctx, .e = e};

	return lmdb_each(t->t, t->db->dbs[LOCKDB_LOCKS], store,
	    store != NULL ? strlen(store) + 1 : 0, each_lock, &each, e);
}

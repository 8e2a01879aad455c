/*
 * The lock database: environment, transactions and locks.  Only the
 * validator's loop uses it.  What it holds was written by a validator of this
 * boot, perhaps one of another version, so every record is decoded with
 * bounds.
 */
#include "config.h"

#include "validator/store/lockdb.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/digest.h"
#include "common/io.h"
#include "common/lmdb.h"
#include "common/mem.h"
#include "common/wire.h"
#include "validator/store/lockdb_int.h"

#define BOOT_NAME "boot" /* in the same folder: the boot it is from */
#define BOOT_ID_LEN 36
/* LMDB's own lock file: 126 readers, with room to spare. */
#define READERS_FILE_LEN 16384

#define GROUP_HASH_LEN DIGEST_LEN
/* group, time (0: the group itself), kind, holder */
#define LOCK_KEY_LEN (GROUP_HASH_LEN + 8 + 1 + LOCKDB_ID_LEN)
#define LOCK_VERSION 1
#define LOCK_VALUE_MAX 1024

struct lockdb {
	struct lmdb *env;
	unsigned int tables[LOCKDB_TABLE_COUNT];
	size_t map_size;
};

struct lockdb_txn {
	struct lockdb *db;
	struct lmdb_txn *txn;
	struct err full; /* of lockdb_check_room() */
};

void
lockdb_put_be(uint8_t *dst, uint64_t v, size_t len)
{
	while (len-- > 0) {
		dst[len] = (uint8_t)v;
		v >>= 8;
	}
}

uint64_t
lockdb_get_be(const uint8_t *src, size_t len)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < len; i++)
		v = v << 8 | src[i];
	return v;
}

struct lmdb_txn *
lockdb_lmdb(struct lockdb_txn *t)
{
	return t->txn;
}

unsigned int
lockdb_table(const struct lockdb_txn *t, enum lockdb_table table)
{
	return t->db->tables[table];
}

static size_t
used(struct lockdb_txn *t)
{
	size_t sum = 0, size;
	int i;

	/* An error spoils the transaction, which is found at the commit. */
	for (i = 0; i < LOCKDB_TABLE_COUNT; i++)
		if (lmdb_db_size(t->txn, t->db->tables[i], &size, NULL) == 0)
			sum += size;
	return sum;
}

int
lockdb_check_room(struct lockdb_txn *t, enum lockdb_table table,
    const void *key, size_t key_len, struct err *e)
{
	const void *old;
	size_t len;

	if (used(t) <= t->db->map_size / 2 ||
	    lmdb_get(t->txn, t->db->tables[table], key, key_len, &old, &len,
		NULL) == 1)
		return 0;
	err_set(&t->full, ERR_NOSPACE, "lock database is full");
	if (e != NULL)
		*e = t->full;
	return -1;
}

bool
lockdb_has_room_for_tombstone(struct lockdb_txn *t)
{
	return used(t) <= t->db->map_size / 4 * 3;
}

/* --- opening ------------------------------------------------------------ */

static int
allocate(int dirfd, const char *name, size_t len, struct err *e)
{
	int fd, rc;

	fd = io_openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, e);
	if (fd == -1)
		return -1;
	rc = posix_fallocate(fd, 0, (off_t)len);
	io_close(&fd);
	return rc == 0 ? 0 : err_errno(e, rc, "allocate \"%s\"", name);
}

/*
 * Removes what was written in another boot of the machine: then the runtime
 * folder is not in memory, no holder is alive, and after a power cut there may
 * be anything in files that were never synced.
 */
static int
forget_other_boot(int dirfd, bool *rebooted_out, struct err *e)
{
	static const char *const names[] = {"data.mdb", "lock.mdb"};
	char boot[BOOT_ID_LEN + 1], *old;
	bool same = false;
	size_t len, i;

	if (io_boot_id(boot, e) == -1)
		return -1;
	if (io_read_file(dirfd, BOOT_NAME, BOOT_ID_LEN, &old, &len, NULL) ==
	    0) {
		same = len == BOOT_ID_LEN && memcmp(old, boot, len) == 0;
		free(old);
	}
	if (same)
		return 0;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (unlinkat(dirfd, names[i], 0) == 0)
			*rebooted_out = true;
		else if (errno != ENOENT)
			return err_errno(e, errno, "remove \"%s\"", names[i]);
	}
	return io_write_file_atomic(dirfd, BOOT_NAME, boot, BOOT_ID_LEN, 0600,
	    0, e);
}

/*
 * Gives both files of LMDB all their blocks, so that a full runtime file
 * system can fail no later transaction and raise no SIGBUS.  LMDB takes a data
 * file only if it is empty or its own, so a new one is begun by opening it
 * once.  Nothing has the files open meanwhile: closing them would drop LMDB's
 * locks.
 */
static int
reserve_files(const char *dir, size_t map_size, bool *rebooted_out,
    struct err *e)
{
	struct lmdb *env;
	int fd, rv = -1;

	if (mkdir(dir, 0700) == -1 && errno != EEXIST)
		return err_errno(e, errno, "mkdir \"%s\"", dir);
	fd =
	    io_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
	if (fd == -1)
		return -1;
	if (forget_other_boot(fd, rebooted_out, e) == -1 ||
	    allocate(fd, "lock.mdb", READERS_FILE_LEN, e) == -1)
		goto out;
	if (lmdb_open(&env, dir, map_size, LOCKDB_TABLE_COUNT, LMDB_F_NOSYNC,
		0600, e) == -1)
		goto out;
	lmdb_close(&env);
	rv = allocate(fd, "data.mdb", map_size, e);
out:
	io_close(&fd);
	return rv;
}

static int
open_tables(struct lockdb *db, struct err *e)
{
	static const char *const names[LOCKDB_TABLE_COUNT] = {
	    [LOCKDB_LOCKS] = "locks",
	    [LOCKDB_SESSIONS] = "sessions",
	    [LOCKDB_FILES] = "files",
	    [LOCKDB_TOMBS] = "tombstones",
	};
	int i;

	for (i = 0; i < LOCKDB_TABLE_COUNT; i++)
		if (lmdb_db_open(db->env, names[i], &db->tables[i], e) == -1)
			return -1;
	return 0;
}

int
lockdb_open(struct lockdb **out, const char *dir, size_t map_size,
    bool *rebooted_out, struct err *e)
{
	struct lockdb *db = xcalloc(1, sizeof(*db));

	*out = NULL;
	*rebooted_out = false;
	if (map_size == 0)
		map_size = LOCKDB_MAP_SIZE;
	db->map_size = map_size;
	if (reserve_files(dir, map_size, rebooted_out, e) == -1 ||
	    lmdb_open(&db->env, dir, map_size, LOCKDB_TABLE_COUNT,
		LMDB_F_NOSYNC, 0600, e) == -1 ||
	    open_tables(db, e) == -1) {
		lockdb_close(&db);
		return -1;
	}
	*out = db;
	return 0;
}

void
lockdb_close(struct lockdb **dbp)
{
	struct lockdb *db = *dbp;

	if (db == NULL)
		return;
	*dbp = NULL;
	if (db->env != NULL)
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

/* --- transactions ------------------------------------------------------- */

int
lockdb_begin(struct lockdb *db, bool write, struct lockdb_txn **out,
    struct err *e)
{
	struct lockdb_txn *t = xcalloc(1, sizeof(*t));

	*out = NULL;
	t->db = db;
	if (lmdb_begin(db->env, write, &t->txn, e) == -1) {
		free(t);
		return err_wrap(e, "lock database");
	}
	*out = t;
	return 0;
}

int
lockdb_commit(struct lockdb_txn **tp, struct err *e)
{
	struct lockdb_txn *t = *tp;
	int rv = -1;

	*tp = NULL;
	if (t->full.code != ERR_OK) {
		if (e != NULL)
			*e = t->full;
		lmdb_abort(&t->txn);
	} else {
		rv = lmdb_commit(&t->txn, e);
	}
	free(t);
	return rv == 0 ? 0 : err_wrap(e, "lock database");
}

void
lockdb_abort(struct lockdb_txn **tp)
{
	struct lockdb_txn *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	lmdb_abort(&t->txn);
	free(t);
}

/* --- locks -------------------------------------------------------------- */

/* Names may be longer than LMDB's keys: a digest of them is the key. */
static void
group_hash(const struct lock_target *target, uint8_t out[GROUP_HASH_LEN])
{
	struct digest_ctx *ctx = digest_ctx_new();
	char group[GROUP_STR_MAX + 1];
	struct digest d;

	group_to_str(target->group, group);
	/* Each with its NUL, which no name has. */
	digest_update(ctx, target->store, strlen(target->store) + 1);
	digest_update(ctx, target->ns->name, strlen(target->ns->name) + 1);
	digest_update(ctx, group, strlen(group) + 1);
	digest_final(ctx, &d);
	digest_ctx_free(ctx);
	memcpy(out, d.b, GROUP_HASH_LEN);
}

static bool
is_snapshot(enum lock_kind kind)
{
	return kind == LOCK_SNAP_SHARED || kind == LOCK_SNAP_EXCLUSIVE;
}

static void
lock_key(enum lock_kind kind, const struct lock_target *target, uint64_t holder,
    uint8_t key[LOCK_KEY_LEN])
{
	uint64_t time = is_snapshot(kind) ? (uint64_t)target->time : 0;

	group_hash(target, key);
	lockdb_put_be(key + GROUP_HASH_LEN, time, 8);
	key[GROUP_HASH_LEN + 8] = (uint8_t)kind;
	lockdb_put_be(key + GROUP_HASH_LEN + 9, holder, LOCKDB_ID_LEN);
}

static int
lock_encode(const struct lock_info *l, uint8_t *buf, size_t size)
{
	struct wire_w w;

	wire_w_init(&w, buf, size);
	wire_w_u8(&w, LOCK_VERSION);
	wire_w_u8(&w, (uint8_t)l->kind);
	wire_w_u64(&w, l->holder);
	wire_w_i64(&w, l->since);
	wire_w_str16(&w, l->what);
	wire_w_str16(&w, l->store);
	wire_w_str16(&w, l->ns);
	wire_w_u8(&w, (uint8_t)l->group.type);
	wire_w_str16(&w, l->group.id);
	wire_w_i64(&w, l->time);
	return (int)wire_w_len(&w);
}

static int
lock_decode(const void *val, size_t len, struct lock_info *l)
{
	struct wire_r r;
	uint8_t version, kind, type;

	memset(l, 0, sizeof(*l));
	wire_r_init(&r, val, len);
	version = wire_r_u8(&r);
	kind = wire_r_u8(&r);
	l->holder = wire_r_u64(&r);
	l->since = wire_r_i64(&r);
	wire_r_str16(&r, l->what, sizeof(l->what));
	wire_r_str16(&r, l->store, sizeof(l->store));
	wire_r_str16(&r, l->ns, sizeof(l->ns));
	type = wire_r_u8(&r);
	wire_r_str16(&r, l->group.id, sizeof(l->group.id));
	l->time = wire_r_i64(&r);
	if (wire_r_end(&r) == -1 || version != LOCK_VERSION ||
	    kind > LOCK_GROUP_TREE || type >= BACKUP_TYPE_COUNT)
		return -1;
	l->kind = (enum lock_kind)kind;
	l->group.type = (enum backup_type)type;
	return 0;
}

/* Whether two locks of one group, by different holders, exclude each other. */
static bool
conflicts(enum lock_kind a, int64_t a_time, const struct lock_info *b)
{
	if (a == LOCK_GROUP_TREE || b->kind == LOCK_GROUP_TREE)
		return true;
	if (is_snapshot(a) != is_snapshot(b->kind))
		return false;
	if (!is_snapshot(a))
		return true;
	return a_time == b->time &&
	    (a == LOCK_SNAP_EXCLUSIVE || b->kind == LOCK_SNAP_EXCLUSIVE);
}

struct conflict_search {
	enum lock_kind kind;
	int64_t time;
	uint64_t holder;
	struct lock_info *found;
	struct err *e;
};

static int
look_for_conflict(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct conflict_search *c = ctx;
	struct lock_info l;

	(void)key;
	(void)key_len;
	if (lock_decode(val, len, &l) == -1)
		return err_set(c->e, ERR_CORRUPT, "damaged lock record");
	if (l.holder == c->holder || !conflicts(c->kind, c->time, &l))
		return 0;
	*c->found = l;
	return 1;
}

int
lockdb_lock(struct lockdb_txn *t, enum lock_kind kind,
    const struct lock_target *target, uint64_t holder, const char *what,
    struct lock_info *conflict_out, struct err *e)
{
	struct lock_info mine = {.kind = kind, .holder = holder}, other = {0};
	struct conflict_search search = {.kind = kind,
	    .time = target->time,
	    .holder = holder,
	    .found = &other,
	    .e = e};
	uint8_t key[LOCK_KEY_LEN], val[LOCK_VALUE_MAX];
	int len;

	lock_key(kind, target, holder, key);
	if (lmdb_each(t->txn, t->db->tables[LOCKDB_LOCKS], key, GROUP_HASH_LEN,
		look_for_conflict, &search, e) == -1)
		return -1;
	if (other.holder != 0) {
		if (conflict_out != NULL)
			*conflict_out = other;
		return err_set(e, ERR_LOCKED, "locked by %s (%016" PRIx64 ")",
		    other.what, other.holder);
	}
	if (lockdb_check_room(t, LOCKDB_LOCKS, key, sizeof(key), e) == -1)
		return -1;
	mine.since = io_realtime_s();
	mine.time = is_snapshot(kind) ? target->time : 0;
	mine.group = *target->group;
	snprintf(mine.what, sizeof(mine.what), "%s", what);
	snprintf(mine.store, sizeof(mine.store), "%s", target->store);
	snprintf(mine.ns, sizeof(mine.ns), "%s", target->ns->name);
	len = lock_encode(&mine, val, sizeof(val));
	if (len == -1)
		return err_set(e, ERR_INTERNAL, "lock record is too long");
	return lmdb_put(t->txn, t->db->tables[LOCKDB_LOCKS], key, sizeof(key),
	    val, (size_t)len, e);
}

int
lockdb_unlock(struct lockdb_txn *t, enum lock_kind kind,
    const struct lock_target *target, uint64_t holder, struct err *e)
{
	uint8_t key[LOCK_KEY_LEN];

	lock_key(kind, target, holder, key);
	return lmdb_del(t->txn, t->db->tables[LOCKDB_LOCKS], key, sizeof(key),
		   e) == -1
	    ? -1
	    : 0;
}

/* Keys of one holder's locks, collected since the walk may not delete. */
struct key_list {
	uint8_t holder[LOCKDB_ID_LEN];
	uint8_t (*v)[LOCK_KEY_LEN];
	size_t n;
};

static int
collect_key(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct key_list *l = ctx;
	const uint8_t *k = key;

	(void)val;
	(void)len;
	if (key_len != LOCK_KEY_LEN ||
	    memcmp(k + LOCK_KEY_LEN - LOCKDB_ID_LEN, l->holder,
		LOCKDB_ID_LEN) != 0)
		return 0;
	l->v = xreallocarray(l->v, l->n + 1, sizeof(*l->v));
	memcpy(l->v[l->n++], k, LOCK_KEY_LEN);
	return 0;
}

int
lockdb_unlock_all(struct lockdb_txn *t, uint64_t holder, struct err *e)
{
	unsigned int locks = t->db->tables[LOCKDB_LOCKS];
	struct key_list l = {0};
	size_t i;
	int rv;

	lockdb_put_be(l.holder, holder, LOCKDB_ID_LEN);
	rv = lmdb_each(t->txn, locks, NULL, 0, collect_key, &l, e);
	for (i = 0; rv == 0 && i < l.n; i++)
		if (lmdb_del(t->txn, locks, l.v[i], LOCK_KEY_LEN, e) == -1)
			rv = -1;
	free(l.v);
	return rv;
}

struct lock_walk {
	const char *store;
	int (*fn)(void *ctx, const struct lock_info *lock);
	void *ctx;
	struct err *e;
};

static int
visit_lock(void *ctx, const void *key, size_t key_len, const void *val,
    size_t len)
{
	struct lock_walk *w = ctx;
	struct lock_info l;

	(void)key;
	(void)key_len;
	if (lock_decode(val, len, &l) == -1)
		return err_set(w->e, ERR_CORRUPT, "damaged lock record");
	if (w->store != NULL && strcmp(w->store, l.store) != 0)
		return 0;
	return w->fn(w->ctx, &l);
}

int
lockdb_each_lock(struct lockdb_txn *t, const char *store,
    int (*fn)(void *ctx, const struct lock_info *lock), void *ctx,
    struct err *e)
{
	struct lock_walk w = {.store = store, .fn = fn, .ctx = ctx, .e = e};

	return lmdb_each(t->txn, t->db->tables[LOCKDB_LOCKS], NULL, 0,
	    visit_lock, &w, e);
}

/*
 * Records of the lock database, as another version may have left them.  The
 * first byte of the input chooses the table, the second is the length of the
 * key; then come key and value.
 */
#include "config.h"

#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/lmdb.h"
#include "validator/store/lockdb.h"
#include "validator/store/lockdb_int.h"

static int
on_lock(void *ctx, const struct lock_info *l)
{
	(void)ctx;
	FUZZ_REQUIRE(l->kind <= LOCK_GROUP_TREE);
	FUZZ_REQUIRE(l->group.type < BACKUP_TYPE_COUNT);
	return 0;
}

static int
on_session(void *ctx, const struct lockdb_session *s)
{
	(void)ctx;
	FUZZ_REQUIRE(
	    s->kind == SESSION_KIND_BACKUP || s->kind == SESSION_KIND_READER);
	FUZZ_REQUIRE(s->snap.group.type < BACKUP_TYPE_COUNT);
	return 0;
}

static int
on_file(void *ctx, const struct lockdb_file *f)
{
	(void)ctx;
	FUZZ_REQUIRE(f->kind >= LOCKDB_FILE_OPENED);
	FUZZ_REQUIRE(f->kind <= LOCKDB_FILE_BLOB);
	return 0;
}

static void
read_all(struct lockdb_txn *t, uint64_t id)
{
	static const struct backup_ns root;
	struct backup_group group = {.type = BACKUP_HOST, .id = "h1"};
	struct lock_target target = {"store", &root, &group, 1};
	struct lockdb_tombstone tomb;
	struct lockdb_session s;
	struct err e;

	lockdb_each_lock(t, NULL, on_lock, NULL, &e);
	lockdb_each_session(t, on_session, NULL, &e);
	lockdb_each_file(t, id, on_file, NULL, &e);
	if (lockdb_session_get(t, id, &s, &e) == 1)
		on_session(NULL, &s);
	lockdb_tombstone_get(t, id, 0, &tomb, &e);
	lockdb_lock(t, LOCK_GROUP_TREE, &target, 1, "fuzz", NULL, &e);
	lockdb_session_end(t, id, NULL, &e);
	lockdb_tombstones_expire(t, 1, &e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct lockdb *db;
	char path[512];
	struct lockdb_txn *t;
	enum lockdb_table table;
	uint8_t id[LOCKDB_ID_LEN] = {0};
	bool rebooted;
	struct err e;
	size_t n;

	if (db == NULL) {
		fuzz_folder();
		snprintf(path, sizeof(path), "%s/locks", fuzz_folder_path);
		FUZZ_REQUIRE(lockdb_open(&db, path, 0, &rebooted, &e) == 0);
	}
	if (len < 2 || data[1] == 0 || data[1] > len - 2)
		return 0;
	table = data[0] % LOCKDB_TABLE_COUNT;
	n = data[1];
	data += 2;
	len -= 2;
	memcpy(id, data, n < sizeof(id) ? n : sizeof(id));
	if (lockdb_begin(db, true, &t, &e) == -1) {
		FUZZ_REQUIRE(e.code != ERR_OK);
		return 0;
	}
	if (lmdb_put(lockdb_lmdb(t), lockdb_table(t, table), data, n, data + n,
		len - n, &e) == 0)
		read_all(t, lockdb_get_be(id, sizeof(id)));
	lockdb_abort(&t);
	return 0;
}

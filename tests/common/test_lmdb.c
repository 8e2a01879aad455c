#include "config.h"

#include "common/lmdb.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"

static char path[] = "/tmp/holdfast-lmdb-XXXXXX";
static char sub[64];
static struct lmdb *db;
static unsigned int a, b;

static void
setup(void)
{
	struct err e;

	cr_assert(mkdtemp(path) != NULL);
	snprintf(sub, sizeof(sub), "%s/db", path);
	cr_assert(lmdb_open(&db, sub, 1 << 20, 4, LMDB_F_CREATE | LMDB_F_NOSYNC,
		      0600, &e) == 0,
	    "%s", e.msg);
	cr_assert(lmdb_db_open(db, "a", &a, &e) == 0);
	cr_assert(lmdb_db_open(db, "b", &b, &e) == 0);
}

static void
teardown(void)
{
	char cmd[64];

	lmdb_close(&db);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", path);
	cr_assert(system(cmd) == 0);
}

TestSuite(lmdb, .init = setup, .fini = teardown);

static struct lmdb_txn *
begin(int write)
{
	struct lmdb_txn *t;
	struct err e;

	cr_assert(lmdb_begin(db, write, &t, &e) == 0, "%s", e.msg);
	return t;
}

static int
get(const char *key)
{
	struct lmdb_txn *t = begin(0);
	const void *val;
	struct err e;
	size_t len;
	int rv = lmdb_get(t, a, key, strlen(key), &val, &len, &e);

	lmdb_abort(&t);
	cr_assert(t == NULL);
	return rv;
}

Test(lmdb, put_get_del)
{
	struct lmdb_txn *t = begin(1);
	const void *val;
	struct err e;
	size_t len;

	cr_assert(lmdb_put(t, a, "k", 1, "value", 5, &e) == 0);
	cr_assert(lmdb_put(t, a, "k", 1, "other", 5, &e) == 0);
	cr_assert(lmdb_get(t, b, "k", 1, &val, &len, &e) == 0);
	cr_assert(lmdb_get(t, a, "k", 1, &val, &len, &e) == 1);
	cr_assert(len == 5 && memcmp(val, "other", 5) == 0);
	cr_assert(lmdb_commit(&t, &e) == 0 && t == NULL);
	t = begin(1);
	cr_assert(lmdb_del(t, a, "k", 1, &e) == 1);
	cr_assert(lmdb_del(t, a, "k", 1, &e) == 0);
	lmdb_abort(&t);
	lmdb_abort(&t);
	cr_assert(get("k") == 1, "the deletion was aborted");
}

Test(lmdb, insert_does_not_spoil)
{
	struct lmdb_txn *t = begin(1);
	struct err e;

	cr_assert(lmdb_insert(t, a, "k", 1, "1", 1, &e) == 0);
	cr_assert(lmdb_insert(t, a, "k", 1, "2", 1, &e) == -1);
	cr_assert(e.code == ERR_EXISTS);
	cr_assert(lmdb_put(t, a, "l", 1, "3", 1, &e) == 0);
	cr_assert(lmdb_commit(&t, &e) == 0);
	cr_assert(get("l") == 1);
}

Test(lmdb, first_error_sticks)
{
	char key[LMDB_KEY_MAX + 1] = "too long";
	struct lmdb_txn *t = begin(1);
	struct err e;

	cr_assert(lmdb_put(t, a, "k", 1, "1", 1, &e) == 0);
	cr_assert(lmdb_put(t, a, key, sizeof(key), "1", 1, &e) == -1);
	cr_assert(e.code == ERR_DB);
	cr_assert(lmdb_put(t, a, "l", 1, "1", 1, &e) == -1);
	cr_assert(lmdb_commit(&t, &e) == -1 && t == NULL);
	cr_assert(e.code == ERR_DB);
	cr_assert(get("k") == 0 && get("l") == 0);
}

Test(lmdb, full_map_is_no_space)
{
	static char big[4096];
	struct lmdb_txn *t = begin(1);
	struct err e = {.code = ERR_OK};
	char key[16];
	int i, rv = 0;

	for (i = 0; i < 1000 && rv == 0; i++) {
		snprintf(key, sizeof(key), "%d", i);
		rv = lmdb_put(t, a, key, strlen(key), big, sizeof(big), &e);
	}
	cr_assert(rv == -1 && e.code == ERR_NOSPACE, "%s", e.msg);
	cr_assert(lmdb_commit(&t, &e) == -1 && e.code == ERR_NOSPACE);
	t = begin(1);
	cr_assert(lmdb_put(t, a, "k", 1, "1", 1, &e) == 0);
	cr_assert(lmdb_commit(&t, &e) == 0, "works again");
}

static int
collect(void *ctx, const void *key, size_t key_len, const void *val,
    size_t val_len)
{
	char *out = ctx;

	(void)val;
	(void)val_len;
	strncat(out, key, key_len);
	strcat(out, " ");
	return memcmp(key, "stop", 4) == 0 ? 1
	    : memcmp(key, "fail", 4) == 0  ? -1
					   : 0;
}

static void
fill(void)
{
	static const char *const keys[] = {"a/1", "a/2", "a/22", "b/1", "b/2",
	    "fail", "faim", "stop", "stoq", "\xff\xff"};
	struct lmdb_txn *t = begin(1);
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		cr_assert(
		    lmdb_put(t, a, keys[i], strlen(keys[i]), "", 0, &e) == 0);
	cr_assert(lmdb_commit(&t, &e) == 0);
}

Test(lmdb, each_prefix)
{
	struct lmdb_txn *t;
	char out[128] = "";
	struct err e;

	fill();
	t = begin(0);
	cr_expect(lmdb_each(t, a, "a/", 2, collect, out, &e) == 0);
	cr_expect_str_eq(out, "a/1 a/2 a/22 ");
	out[0] = '\0';
	cr_expect(lmdb_each(t, a, "x", 1, collect, out, &e) == 0);
	cr_expect_str_eq(out, "");
	cr_expect(lmdb_each(t, a, "\xff", 1, collect, out, &e) == 0);
	cr_expect_str_eq(out, "\xff\xff ");
	out[0] = '\0';
	cr_expect(lmdb_each(t, a, "sto", 3, collect, out, &e) == 0);
	cr_expect_str_eq(out, "stop ");
	out[0] = '\0';
	cr_expect(lmdb_each(t, a, "fai", 3, collect, out, &e) == -1);
	cr_expect_str_eq(out, "fail ");
	out[0] = '\0';
	cr_expect(lmdb_each(t, b, NULL, 0, collect, out, &e) == 0);
	cr_expect_str_eq(out, "");
	cr_expect(lmdb_each(t, a, NULL, 0, collect, out, &e) == -1);
	cr_expect_str_eq(out, "a/1 a/2 a/22 b/1 b/2 fail ");
	lmdb_abort(&t);
}

Test(lmdb, del_prefix)
{
	struct lmdb_txn *t;
	char out[128] = "";
	struct err e;

	fill();
	t = begin(1);
	cr_expect(lmdb_del_prefix(t, a, "a/2", 3, &e) == 2);
	cr_expect(lmdb_del_prefix(t, a, "nothing", 7, &e) == 0);
	cr_expect(lmdb_commit(&t, &e) == 0);
	t = begin(0);
	lmdb_each(t, a, "a", 1, collect, out, &e);
	lmdb_abort(&t);
	cr_expect_str_eq(out, "a/1 ");
	t = begin(1);
	cr_expect(lmdb_del_prefix(t, a, NULL, 0, &e) == 8);
	cr_expect(lmdb_del_prefix(t, a, NULL, 0, &e) == 0);
	cr_expect(lmdb_commit(&t, &e) == 0);
}

Test(lmdb, empty)
{
	struct lmdb_txn *t;
	char out[128] = "";
	size_t size;
	struct err e;

	fill();
	t = begin(1);
	cr_expect(lmdb_db_empty(t, a, &e) == 0);
	cr_expect(lmdb_db_size(t, a, &size, &e) == 0 && size == 0);
	cr_expect(lmdb_put(t, a, "new", 3, "x", 1, &e) == 0);
	cr_expect(lmdb_commit(&t, &e) == 0);
	t = begin(0);
	lmdb_each(t, a, NULL, 0, collect, out, &e);
	lmdb_abort(&t);
	cr_expect_str_eq(out, "new ");
}

Test(lmdb, open_failures)
{
	struct lmdb *other = db;
	char none[80];
	struct err e;
	FILE *f;

	snprintf(none, sizeof(none), "%s/none", path);
	cr_expect(lmdb_open(&other, none, 1 << 20, 4, 0, 0600, &e) == -1);
	cr_expect(other == NULL);
	cr_assert(mkdir(none, 0700) == 0);
	snprintf(none, sizeof(none), "%s/none/data.mdb", path);
	cr_assert((f = fopen(none, "w")) != NULL);
	fprintf(f, "%04096d", 7);
	fclose(f);
	snprintf(none, sizeof(none), "%s/none", path);
	cr_expect(lmdb_open(&other, none, 1 << 20, 4, 0, 0600, &e) == -1);
	cr_expect(e.code == ERR_CORRUPT, "%s", e.msg);
}

/* What a death left that was just about to make one is in nobody's way. */
Test(lmdb, begun_anew)
{
	struct lmdb *other = NULL;
	char name[80];
	struct err e;
	FILE *f;

	snprintf(name, sizeof(name), "%s/new", path);
	cr_assert(mkdir(name, 0700) == 0);
	snprintf(name, sizeof(name), "%s/new/new.mdb", path);
	cr_assert((f = fopen(name, "w")) != NULL);
	fprintf(f, "%04096d", 7);
	fclose(f);
	snprintf(name, sizeof(name), "%s/new", path);
	cr_assert(lmdb_open(&other, name, 1 << 20, 4, LMDB_F_CREATE, 0600,
		      &e) == 0,
	    "%s", e.msg);
	lmdb_close(&other);
	snprintf(name, sizeof(name), "%s/new/new.mdb", path);
	cr_expect(access(name, F_OK) == -1);
	/* No room for a file of that name. */
	cr_assert(mkdir(name, 0700) == 0);
	snprintf(name, sizeof(name), "%s/new/data.mdb", path);
	cr_assert(unlink(name) == 0);
	snprintf(name, sizeof(name), "%s/new", path);
	cr_expect(
	    lmdb_open(&other, name, 1 << 20, 4, LMDB_F_CREATE, 0600, &e) == -1);
	cr_expect_null(other);
}

/* A process killed in the middle of a write leaves nothing behind. */
Test(lmdb, killed_writer)
{
	struct lmdb_txn *t;
	struct err e;
	pid_t pid;
	int status;

	lmdb_close(&db);
	cr_assert((pid = fork()) >= 0);
	if (pid == 0) {
		if (lmdb_open(&db, sub, 1 << 20, 4, LMDB_F_NOSYNC, 0600, &e) ==
			-1 ||
		    lmdb_db_open(db, "a", &a, &e) == -1 ||
		    lmdb_begin(db, 1, &t, &e) == -1 ||
		    lmdb_put(t, a, "k", 1, "1", 1, &e) == -1)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	cr_assert(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	cr_assert(
	    lmdb_open(&db, sub, 1 << 20, 4, LMDB_F_NOSYNC, 0600, &e) == 0);
	cr_assert(lmdb_db_open(db, "a", &a, &e) == 0);
	cr_assert(get("k") == 0);
	t = begin(1);
	cr_assert(lmdb_put(t, a, "k", 1, "1", 1, &e) == 0);
	cr_assert(lmdb_commit(&t, &e) == 0);
}

Test(lmdb, read_only)
{
	struct lmdb_txn *t;
	struct err e;

	fill();
	lmdb_close(&db);
	cr_assert(
	    lmdb_open(&db, sub, 1 << 20, 4, LMDB_F_RDONLY, 0600, &e) == 0);
	cr_assert(lmdb_db_open(db, "a", &a, &e) == 0);
	cr_assert(get("a/1") == 1);
	cr_assert(lmdb_begin(db, 1, &t, &e) == -1);
}

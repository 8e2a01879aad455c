/* Session folders: their life, and the commit that makes a snapshot of one. */
#include "config.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/dynamic_index.h"
#include "common/io.h"
#include "tests/store/fixture.h"
#include "validator/store/chunk_store.h"
#include "validator/store/deposit_log.h"
#include "validator/store/group.h"
#include "validator/store/layout.h"
#include "validator/store/lost.h"
#include "validator/store/poison.h"
#include "validator/store/session_dir.h"
#include "validator/store/snapshot.h"

TestSuite(session_dir, .init = fixture_init, .fini = fixture_fini);

#define ID UINT64_C(0x00ab00000000cdef)
#define SNAP "vm/100/2022-05-02T08:11:33Z"

static int
make_session(void)
{
	struct backup_snapshot snap = fixture_snap(SNAP);
	struct backup_ns ns = fixture_ns("");
	char owner[AUTH_ID_MAX + 1];
	struct err e = {0};
	bool created;
	int fd, log;

	cr_assert_eq(group_dir_create(fx.store, &ns, &snap.group, "u@pbs",
			 owner, &created, &e),
	    0, "%s", e.msg);
	fd = session_dir_create(fx.store, ID, &e);
	cr_assert_neq(fd, -1, "%s", e.msg);
	log = deposit_log_open(fd, NULL);
	cr_assert_neq(log, -1);
	close(log);
	cr_assert_eq(snap_file_write(fx.store, fd, MANIFEST_NAME, "m", 1, false,
			 &e),
	    0);
	return fd;
}

static int
commit(struct session_commit *c, struct err *e)
{
	struct backup_snapshot snap = fixture_snap(SNAP);
	struct backup_ns ns = fixture_ns("");

	return session_dir_commit(fx.store, ID, &ns, &snap, c, e);
}

Test(session_dir, is_made_opened_and_removed)
{
	char name[SESSION_ID_LEN + 1];
	struct err e = {0};
	struct stat st;
	int fd;

	umask(077);
	session_id_to_str(ID, name);
	cr_expect_str_eq(name, "00ab00000000cdef");
	close(make_session());
	cr_assert_eq(fstatat(fx.store->sessions_fd, name, &st, 0), 0);
	cr_expect_eq(st.st_mode & 07777, 0755);
	cr_expect_eq(session_dir_create(fx.store, ID, &e), -1);
	cr_expect_eq(e.code, ERR_EXISTS);
	fd = session_dir_open(fx.store, ID, &e);
	cr_expect_neq(fd, -1);
	close(fd);
	cr_expect_eq(session_dir_remove(fx.store, ID, &e), 0);
	cr_expect_eq(session_dir_remove(fx.store, ID, &e), 0);
	cr_expect_eq(session_dir_open(fx.store, ID, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
}

static uint64_t seen[8];
static size_t nseen;

static int
collect(void *ctx, uint64_t id)
{
	(void)ctx;
	seen[nseen++] = id;
	return 0;
}

Test(session_dir, lists_leftovers_and_removes_the_rest)
{
	close(make_session());
	fixture_write(".holdfast/sessions/rubbish", "x", 1);
	cr_assert_eq(symlinkat("/etc", fx.store->sessions_fd,
			 "0000000000000001x"),
	    0);
	cr_assert_eq(session_dir_each(fx.store, collect, NULL, NULL), 0);
	cr_expect_eq(nseen, 1);
	cr_expect_eq(seen[0], ID);
	cr_expect_not(fixture_exists(".holdfast/sessions/rubbish"));
	cr_expect_not(fixture_exists(".holdfast/sessions/0000000000000001x"));
}

Test(session_dir, becomes_a_snapshot)
{
	struct session_commit c = {0};
	struct err e = {0};

	close(make_session());
	/* Of a manifest that was being written when the validator was killed.
	 */
	fixture_write(
	    ".holdfast/sessions/00ab00000000cdef/index.json.tmp_a1B2c3", "x",
	    1);
	cr_assert_eq(commit(&c, &e), 0, "%s", e.msg);
	cr_expect(c.published);
	cr_expect_not(fixture_exists(SNAP "/index.json.tmp_a1B2c3"));
	cr_expect(fixture_exists(SNAP "/" MANIFEST_NAME));
	cr_expect_not(fixture_exists(SNAP "/" DEPOSIT_LOG_NAME));
	cr_expect_eq(session_dir_open(fx.store, ID, &e), -1);
	/* Started again behind the rename: goes on there. */
	cr_assert_eq(commit(&c, &e), 0, "%s", e.msg);
	cr_expect(c.published);
}

Test(session_dir, is_not_published_once_cancelled)
{
	struct session_commit c = {.cancel = true};
	struct err e = {0};

	close(make_session());
	cr_expect_eq(commit(&c, &e), -1);
	cr_expect_eq(e.code, ERR_ABORTED);
	cr_expect_not(c.published);
	cr_expect_not(fixture_exists(SNAP));
	/* Behind the rename nobody can cancel any more. */
	c.cancel = false;
	cr_assert_eq(commit(&c, &e), 0);
	c.cancel = true;
	cr_expect_eq(commit(&c, &e), 0);
	cr_expect(c.published);
}

/* An index of one chunk, which is there. */
static struct digest
refer(int dir)
{
	uint8_t head[INDEX_HEADER_LEN], uuid[16] = {0};
	uint8_t entry[DYNAMIC_INDEX_ENTRY_LEN];
	struct digest d = fixture_digest(1);
	char path[200];
	int fd = openat(dir, "root.pxar.didx", O_WRONLY | O_CREAT, 0600);

	dynamic_index_put_header(head, uuid, 1, NULL);
	dynamic_index_put_entry(entry, 1000, &d);
	cr_assert_eq(io_write_full(fd, head, sizeof(head), NULL), 0);
	cr_assert_eq(io_write_full(fd, entry, sizeof(entry), NULL), 0);
	close(fd);
	fixture_chunk_path(&d, path);
	fixture_write(path, "123456789012", 12);
	return d;
}

Test(session_dir, is_not_published_with_a_chunk_that_was_lost)
{
	struct session_commit c = {0};
	struct err e = {0};
	int dir = make_session(), fd;
	struct digest d = refer(dir);
	uint64_t len;

	close(dir);
	c.watch = lost_watch_begin(fx.store, NULL, 0, false);
	fd = chunk_open(fx.store, &d, &len, &e);
	cr_assert_eq(chunk_rename_bad(fx.store, &d, fd, NULL, &e), 0);
	close(fd);
	cr_expect_eq(commit(&c, &e), -1);
	cr_expect_eq(e.code, ERR_MISSING);
	cr_expect(c.is_lost);
	cr_expect(digest_equal(&c.hit, &d));
	cr_expect_not(c.published);
	cr_expect_not(fixture_exists(SNAP));
	lost_watch_end(&c.watch);
}

/* How often a commit syncs that is told of this one. */
static unsigned int
syncs_of_commit(const struct digest *lost)
{
	struct session_commit c = {0};
	struct err e = {0};
	uint64_t before = fx.store->sync_served;

	c.watch = lost_watch_begin(fx.store, NULL, 0, false);
	lost_tell(fx.store, lost);
	cr_assert_eq(commit(&c, &e), 0, "%s", e.msg);
	cr_expect(c.published);
	cr_expect_not(c.is_lost);
	/* Too late for what is lost now. */
	lost_tell(fx.store, lost);
	cr_expect_eq(commit(&c, &e), 0);
	lost_watch_end(&c.watch);
	return (unsigned int)(fx.store->sync_served - before);
}

Test(session_dir, is_published_though_others_lose_chunks)
{
	struct digest other = fixture_digest(2);
	int dir = make_session();

	refer(dir);
	close(dir);
	cr_expect_eq(syncs_of_commit(&other), 1);
}

/* Another backup may have stored it again behind the sync. */
Test(session_dir, syncs_again_for_a_chunk_that_was_lost_and_is_there)
{
	int dir = make_session();
	struct digest d = refer(dir);

	close(dir);
	cr_expect_eq(syncs_of_commit(&d), 2);
}

Test(session_dir, never_replaces_a_snapshot)
{
	struct session_commit c = {0};
	struct err e = {0};

	close(make_session());
	fixture_make_snapshot("", SNAP, "u@pbs");
	cr_expect_eq(commit(&c, &e), -1);
	cr_expect_eq(e.code, ERR_EXISTS);
	cr_expect_str_eq(e.msg, "backup directory already exists.");
	cr_expect_not(c.published);
	cr_expect(fixture_exists(SNAP "/root.pxar.didx"));
	cr_expect_eq(close(session_dir_open(fx.store, ID, &e)), 0);
}

Test(session_dir, is_not_published_on_a_poisoned_store)
{
	struct session_commit c = {0};
	struct err e = {0};

	close(make_session());
	store_state_poison(fx.store->state, "test", NULL);
	cr_expect_eq(commit(&c, &e), -1);
	cr_expect_eq(e.code, ERR_POISONED);
	cr_expect_not(c.published);
	cr_expect_not(fixture_exists(SNAP));
	cr_expect_eq(session_dir_create(fx.store, 5, &e), -1);
	cr_expect_eq(e.code, ERR_POISONED);
	cr_expect_eq(session_dir_remove(fx.store, ID, &e), 0);
}

Test(session_dir, says_so_when_there_is_nothing_to_publish)
{
	struct session_commit c = {0};
	struct err e = {0};

	close(make_session());
	cr_assert_eq(session_dir_remove(fx.store, ID, &e), 0);
	cr_expect_eq(commit(&c, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_expect_not(c.published);
	/* What is in the snapshot's place must be a folder. */
	fixture_write(SNAP, "x", 1);
	cr_expect_eq(commit(&c, &e), -1);
	cr_expect_not(c.published);
}

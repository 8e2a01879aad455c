/* Locks, sessions and tombstones: who excludes whom, what survives a SIGKILL,
 * a reboot and a full file system. */
#include "config.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/lockdb.h"

static struct lockdb *db;
static char dir[128];

static void
open_db(void)
{
	bool rebooted;
	struct err e = {0};

	snprintf(dir, sizeof(dir), "%s/locks", fx.dir);
	cr_assert_eq(lockdb_open(&db, dir, 1 << 20, &rebooted, &e), 0, "%s",
	    e.msg);
	cr_expect_not(rebooted);
}

static void
setup(void)
{
	fixture_init();
	open_db();
}

static void
teardown(void)
{
	lockdb_close(&db);
	fixture_fini();
}

TestSuite(lockdb, .init = setup, .fini = teardown, .timeout = 60);

struct named_lock {
	enum lock_kind kind;
	int time;
};

static int
lock_as(uint64_t holder, struct named_lock l, struct lock_info *conflict,
    struct err *e)
{
	struct backup_ns ns = fixture_ns("a/b");
	struct backup_snapshot snap =
	    fixture_snap("vm/100/2022-05-02T08:11:33Z");
	struct lock_target target = {.store = "store",
	    .ns = &ns,
	    .group = &snap.group,
	    .time = l.time};
	struct lockdb_txn *t;

	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	if (lockdb_lock(t, l.kind, &target, holder, "a test", conflict, e) ==
	    -1) {
		lockdb_abort(&t);
		return -1;
	}
	return lockdb_commit(&t, e);
}

struct pair {
	struct named_lock a;
	struct named_lock b;
	int together;
};

ParameterizedTestParameters(lockdb, exclude_each_other_as_they_should)
{
	static struct pair pairs[] = {
	    {{LOCK_GROUP, 0}, {LOCK_GROUP, 0}, 0},
	    {{LOCK_GROUP, 0}, {LOCK_SNAP_SHARED, 5}, 1},
	    {{LOCK_GROUP, 0}, {LOCK_SNAP_EXCLUSIVE, 5}, 1},
	    {{LOCK_GROUP, 0}, {LOCK_GROUP_TREE, 0}, 0},
	    {{LOCK_SNAP_SHARED, 5}, {LOCK_SNAP_SHARED, 5}, 1},
	    {{LOCK_SNAP_SHARED, 5}, {LOCK_SNAP_EXCLUSIVE, 5}, 0},
	    {{LOCK_SNAP_SHARED, 5}, {LOCK_SNAP_EXCLUSIVE, 6}, 1},
	    {{LOCK_SNAP_EXCLUSIVE, 5}, {LOCK_SNAP_EXCLUSIVE, 5}, 0},
	    {{LOCK_SNAP_EXCLUSIVE, 5}, {LOCK_SNAP_EXCLUSIVE, 6}, 1},
	    {{LOCK_SNAP_SHARED, 5}, {LOCK_GROUP_TREE, 0}, 0},
	    {{LOCK_SNAP_EXCLUSIVE, 5}, {LOCK_GROUP_TREE, 0}, 0},
	    {{LOCK_GROUP_TREE, 0}, {LOCK_GROUP_TREE, 0}, 0},
	};

	return cr_make_param_array(struct pair, pairs,
	    sizeof(pairs) / sizeof(*pairs));
}

ParameterizedTest(struct pair *p, lockdb, exclude_each_other_as_they_should)
{
	struct lock_info other = {0};
	struct err e = {0};

	/* In both orders; one's own locks are never in the way. */
	cr_assert_eq(lock_as(1, p->a, NULL, &e), 0, "%s", e.msg);
	cr_expect_eq(lock_as(1, p->a, NULL, &e), 0);
	cr_expect_eq(lock_as(2, p->b, &other, &e), p->together ? 0 : -1);
	if (!p->together) {
		cr_expect_eq(e.code, ERR_LOCKED);
		cr_expect_eq(other.holder, 1);
		cr_expect_str_eq(other.what, "a test");
		cr_expect_not_null(strstr(e.msg, "a test"));
		cr_expect_eq(lock_as(1, p->b, NULL, &e), 0);
	}
	lockdb_close(&db);
	open_db();
	cr_expect_eq(lock_as(3, p->b, &other, &e),
	    p->together && p->b.kind == LOCK_SNAP_SHARED ? 0 : -1,
	    "locks outlive the validator");
}

Test(lockdb, frees_single_locks_and_all_of_a_holder)
{
	struct backup_snapshot snap =
	    fixture_snap("vm/100/2022-05-02T08:11:33Z");
	struct backup_ns ns = fixture_ns("a/b");
	struct lock_target target = {.store = "store",
	    .ns = &ns,
	    .group = &snap.group,
	    .time = 5};
	struct named_lock group = {LOCK_GROUP, 0}, s5 = {LOCK_SNAP_SHARED, 5},
			  x5 = {LOCK_SNAP_EXCLUSIVE, 5};
	struct lockdb_txn *t;

	cr_assert_eq(lock_as(1, group, NULL, NULL), 0);
	cr_assert_eq(lock_as(1, s5, NULL, NULL), 0);
	cr_assert_eq(lock_as(2, s5, NULL, NULL), 0);
	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	cr_expect_eq(lockdb_unlock(t, LOCK_SNAP_SHARED, &target, 2, NULL), 0);
	cr_expect_eq(lockdb_unlock(t, LOCK_SNAP_SHARED, &target, 2, NULL), 0);
	cr_assert_eq(lockdb_commit(&t, NULL), 0);
	cr_expect_eq(lock_as(3, x5, NULL, NULL), -1);
	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	cr_expect_eq(lockdb_unlock_all(t, 1, NULL), 0);
	cr_assert_eq(lockdb_commit(&t, NULL), 0);
	cr_expect_eq(lock_as(3, x5, NULL, NULL), 0);
	cr_expect_eq(lock_as(3, group, NULL, NULL), 0);
}

static int
count_locks(void *ctx, const struct lock_info *l)
{
	unsigned int *n = ctx;

	cr_expect_str_eq(l->store, "store");
	cr_expect_str_eq(l->ns, "a/b");
	cr_expect_str_eq(l->group.id, "100");
	cr_expect_eq(l->group.type, BACKUP_VM);
	cr_expect_gt(l->since, 0);
	cr_expect_eq(l->time, l->kind == LOCK_GROUP ? 0 : 5);
	(*n)++;
	return 0;
}

Test(lockdb, lists_locks)
{
	struct lockdb_txn *t;
	unsigned int n = 0;

	cr_assert_eq(lock_as(1, (struct named_lock){LOCK_GROUP, 7}, NULL, NULL),
	    0);
	cr_assert_eq(lock_as(1, (struct named_lock){LOCK_SNAP_SHARED, 5}, NULL,
			 NULL),
	    0);
	cr_assert_eq(lockdb_begin(db, false, &t, NULL), 0);
	cr_assert_eq(lockdb_each_lock(t, NULL, count_locks, &n, NULL), 0);
	cr_expect_eq(n, 2);
	cr_assert_eq(lockdb_each_lock(t, "store", count_locks, &n, NULL), 0);
	cr_expect_eq(n, 4);
	cr_assert_eq(lockdb_each_lock(t, "other", count_locks, &n, NULL), 0);
	cr_expect_eq(n, 4);
	lockdb_abort(&t);
}

Test(lockdb, tells_names_apart_that_look_alike)
{
	struct backup_ns ab = fixture_ns("a/b"), a = fixture_ns("a"),
			 root = fixture_ns("");
	struct backup_snapshot s1 = fixture_snap("vm/1/2022-05-02T08:11:33Z"),
			       s2 = fixture_snap("vm/11/2022-05-02T08:11:33Z"),
			       s3 = fixture_snap("ct/1/2022-05-02T08:11:33Z");
	const struct lock_target targets[] = {{"s", &ab, &s1.group, 0},
	    {"s", &a, &s1.group, 0}, {"s", &root, &s1.group, 0},
	    {"s", &root, &s2.group, 0}, {"s", &root, &s3.group, 0},
	    {"sa", &root, &s1.group, 0}};
	struct lockdb_txn *t;
	size_t i;

	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	for (i = 0; i < sizeof(targets) / sizeof(*targets); i++)
		cr_expect_eq(lockdb_lock(t, LOCK_GROUP, &targets[i], i + 1, "x",
				 NULL, NULL),
		    0, "%zu", i);
	cr_assert_eq(lockdb_commit(&t, NULL), 0);
}

static struct lockdb_session
example(uint64_t id)
{
	return (struct lockdb_session){.id = id,
	    .resume_hash = {1, 2, 3},
	    .kind = SESSION_KIND_BACKUP,
	    .state = 4,
	    .flags = 5,
	    .store = "store",
	    .ns = fixture_ns("a/b"),
	    .snap = fixture_snap("host/h/2022-05-02T08:11:33Z"),
	    .base_time = 1000,
	    .started = 2000,
	    .auth_id = "u@pbs!t",
	    .peer = "[::1]:2",
	    .upid = "UPID:x",
	    .worker_pid = 77,
	    .check_state = 2};
}

static void
put_session(const struct lockdb_session *s)
{
	struct lockdb_txn *t;

	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	cr_assert_eq(lockdb_session_put(t, s, NULL), 0);
	cr_assert_eq(lockdb_commit(&t, NULL), 0);
}

static int
count_sessions(void *ctx, const struct lockdb_session *s)
{
	uint64_t *sum = ctx;

	*sum += s->id;
	return 0;
}

static int
check_files(void *ctx, const struct lockdb_file *f)
{
	unsigned int *n = ctx;

	/* By kind, then by number. */
	cr_expect_eq(f->kind, *n < 2 ? LOCKDB_FILE_OPENED : LOCKDB_FILE_WRITER);
	cr_expect_eq(f->number, *n == 0 ? 0 : *n == 1 ? 256 : 1);
	cr_expect_str_eq(f->name, "a.didx");
	cr_expect_eq(f->size, UINT64_MAX);
	cr_expect_eq(f->entries, 9);
	cr_expect_eq(f->csum[31], 8);
	cr_expect_eq(f->flags, LOCKDB_FILE_F_CLOSED);
	(*n)++;
	return 0;
}

Test(lockdb, keeps_sessions_and_their_files)
{
	struct lockdb_session s = example(UINT64_MAX), two = example(1), got;
	struct lockdb_file f = {.archive = ARCHIVE_DYNAMIC,
	    .flags = LOCKDB_FILE_F_CLOSED,
	    .size = UINT64_MAX,
	    .entries = 9,
	    .name = "a.didx"};
	struct lockdb_txn *t;
	unsigned int n = 0;
	uint64_t sum = 0;

	f.csum[31] = 8;
	put_session(&s);
	put_session(&two);
	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	f.kind = LOCKDB_FILE_WRITER;
	f.number = 1;
	cr_assert_eq(lockdb_file_put(t, s.id, &f, NULL), 0);
	f.kind = LOCKDB_FILE_OPENED;
	f.number = 256;
	cr_assert_eq(lockdb_file_put(t, s.id, &f, NULL), 0);
	f.number = 0;
	cr_assert_eq(lockdb_file_put(t, s.id, &f, NULL), 0);
	cr_assert_eq(lockdb_file_put(t, 2, &f, NULL), 0);
	cr_assert_eq(lockdb_commit(&t, NULL), 0);
	lockdb_close(&db);
	open_db();

	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	cr_assert_eq(lockdb_session_get(t, s.id, &got, NULL), 1);
	cr_expect_eq(got.id, s.id);
	cr_expect_arr_eq(got.resume_hash, s.resume_hash, 32);
	cr_expect_eq(got.kind, s.kind);
	cr_expect(got.state == 4 && got.flags == 5);
	cr_expect_str_eq(got.store, "store");
	cr_expect_str_eq(got.ns.name, "a/b");
	cr_expect_eq(got.ns.depth, 2);
	cr_expect(snapshot_equal(&got.snap, &s.snap));
	cr_expect(got.base_time == 1000 && got.started == 2000);
	cr_expect_str_eq(got.auth_id, "u@pbs!t");
	cr_expect_str_eq(got.peer, "[::1]:2");
	cr_expect_str_eq(got.upid, "UPID:x");
	cr_expect(got.worker_pid == 77 && got.check_state == 2);
	cr_expect_eq(lockdb_session_get(t, 5, &got, NULL), 0);
	cr_assert_eq(lockdb_each_file(t, s.id, check_files, &n, NULL), 0);
	cr_expect_eq(n, 3);
	cr_assert_eq(lockdb_each_session(t, count_sessions, &sum, NULL), 0);
	cr_expect_eq(sum, 0, "ids 1 and -1");
	cr_assert_eq(lockdb_session_del(t, s.id, NULL), 0);
	cr_expect_eq(lockdb_session_get(t, s.id, &got, NULL), 0);
	cr_expect_eq(lockdb_session_get(t, 1, &got, NULL), 1);
	n = 0;
	cr_assert_eq(lockdb_each_file(t, s.id, check_files, &n, NULL), 0);
	cr_expect_eq(n, 0);
	lockdb_abort(&t);
}

Test(lockdb, ends_a_session_in_one_transaction)
{
	struct lockdb_tombstone tomb = {.id = 9,
	    .resume_hash = {7},
	    .expiry_ms = 1000,
	    .code = ERR_MISSING,
	    .text = "chunk is missing"};
	struct lockdb_session s = example(9), got;
	struct lockdb_tombstone t9;
	struct lockdb_txn *t;

	put_session(&s);
	cr_assert_eq(lock_as(9, (struct named_lock){LOCK_GROUP, 0}, NULL, NULL),
	    0);
	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	cr_assert_eq(lockdb_session_end(t, 9, &tomb, NULL), 0);
	lockdb_abort(&t);
	cr_expect_eq(lock_as(2, (struct named_lock){LOCK_GROUP, 0}, NULL, NULL),
	    -1, "an aborted transaction changes nothing");

	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	cr_assert_eq(lockdb_session_end(t, 9, &tomb, NULL), 0);
	cr_assert_eq(lockdb_commit(&t, NULL), 0);
	cr_expect_eq(lock_as(2, (struct named_lock){LOCK_GROUP, 0}, NULL, NULL),
	    0);
	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	cr_expect_eq(lockdb_session_get(t, 9, &got, NULL), 0);
	cr_assert_eq(lockdb_tombstone_get(t, 9, 999, &t9, NULL), 1);
	cr_expect_eq(t9.code, ERR_MISSING);
	cr_expect_str_eq(t9.text, "chunk is missing");
	cr_expect_arr_eq(t9.resume_hash, tomb.resume_hash, 32);
	cr_expect_eq(lockdb_tombstone_get(t, 9, 1000, &t9, NULL), 0);
	cr_expect_eq(lockdb_tombstone_get(t, 8, 0, &t9, NULL), 0);
	cr_assert_eq(lockdb_tombstones_expire(t, 999, NULL), 0);
	cr_expect_eq(lockdb_tombstone_get(t, 9, 0, &t9, NULL), 1);
	cr_assert_eq(lockdb_tombstones_expire(t, 1000, NULL), 0);
	cr_expect_eq(lockdb_tombstone_get(t, 9, 0, &t9, NULL), 0);
	lockdb_abort(&t);
}

/* As a power cut may leave files that were never synced. */
static void
spoil(const char *name)
{
	char path[160];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR);
	cr_assert(fd != -1 && fstat(fd, &st) == 0);
	cr_assert_eq(ftruncate(fd, st.st_size / 2), 0);
	cr_assert_eq(pwrite(fd, "another boot", 12, 0), 12);
	close(fd);
}

Test(lockdb, forgets_everything_at_a_reboot)
{
	struct named_lock group = {LOCK_GROUP, 0};
	struct err e = {0};
	bool rebooted;

	cr_assert_eq(lock_as(1, group, NULL, NULL), 0);
	lockdb_close(&db);
	spoil("boot");
	spoil("data.mdb");
	spoil("lock.mdb");
	cr_assert_eq(lockdb_open(&db, dir, 1 << 20, &rebooted, &e), 0, "%s",
	    e.msg);
	cr_expect(rebooted);
	cr_expect_eq(lock_as(2, group, NULL, NULL), 0);
	lockdb_close(&db);
	open_db();
	cr_expect_eq(lock_as(3, group, NULL, NULL), -1, "still held");
}

Test(lockdb, needs_no_more_of_the_file_system_once_it_is_made)
{
	struct rlimit limit = {.rlim_cur = 0, .rlim_max = 0};
	struct lockdb_session s = example(1);
	struct stat st;
	char file[160];
	uint64_t i;

	snprintf(file, sizeof(file), "%s/data.mdb", dir);
	cr_assert_eq(stat(file, &st), 0);
	cr_expect_geq(st.st_blocks * 512, 1 << 20, "blocks are allocated");
	/* Writing below the size that a file has is allowed by this limit,
	 * growing is not. */
	signal(SIGXFSZ, SIG_IGN);
	limit.rlim_cur = limit.rlim_max = 1 << 20;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (i = 1; i <= 100; i++) {
		s.id = i;
		put_session(&s);
	}
}

Test(lockdb, can_try_again_when_it_was_full)
{
	struct lockdb_session s = example(1);
	struct lockdb_txn *t;
	struct err e = {0};
	struct lockdb_tombstone tomb = {.expiry_ms = 1};
	uint64_t n, i;
	int rv = 0;

	memset(tomb.text, 't', sizeof(tomb.text) - 1);
	memset(s.upid, 'u', sizeof(s.upid) - 1);
	for (n = 1; rv == 0 && n < 10000; n++) {
		s.id = n;
		cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
		lockdb_session_put(t, &s, NULL);
		rv = lockdb_commit(&t, &e);
	}
	cr_assert_eq(rv, -1);
	cr_expect_eq(e.code, ERR_NOSPACE);
	cr_expect(err_retryable(e.code));
	cr_assert_gt(n, 50);
	cr_expect_eq(lock_as(1, (struct named_lock){LOCK_GROUP, 0}, NULL, &e),
	    -1);
	cr_expect_eq(e.code, ERR_NOSPACE);
	s.id = 1;
	s.state = 8;
	put_session(&s);
	/* What was refused left no trace, and sessions can end. */
	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	cr_expect_eq(lockdb_session_get(t, n - 1, &s, NULL), 0);
	lockdb_abort(&t);
	for (i = 1; i < n; i++) {
		tomb.id = i;
		cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
		lockdb_session_end(t, i, &tomb, NULL);
		cr_assert_eq(lockdb_commit(&t, &e), 0, "%s", e.msg);
	}
	cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
	lockdb_tombstones_expire(t, 1, NULL);
	cr_assert_eq(lockdb_commit(&t, &e), 0, "%s", e.msg);
	s = example(n);
	put_session(&s);
	cr_expect_eq(lock_as(1, (struct named_lock){LOCK_GROUP, 0}, NULL, &e),
	    0);
}

Test(lockdb, survives_a_kill_in_the_middle_of_its_work)
{
	struct named_lock group = {LOCK_GROUP, 0};
	struct lockdb_session s = example(1), got;
	int fds[2], status, round;
	struct lockdb_txn *t;
	uint64_t last, i;
	pid_t pid;

	lockdb_close(&db);
	for (round = 0; round < 20; round++) {
		cr_assert_eq(pipe(fds), 0);
		pid = fork();
		cr_assert_neq(pid, -1);
		if (pid == 0) {
			open_db();
			for (i = 1;; i++) {
				s.id = i;
				put_session(&s);
				if (write(fds[1], &i, sizeof(i)) != sizeof(i))
					_exit(1);
			}
		}
		close(fds[1]);
		for (i = 0, last = 0; i < 10 + (uint64_t)round * 7; i++)
			cr_assert_eq(read(fds[0], &last, sizeof(last)),
			    sizeof(last));
		kill(pid, SIGKILL);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		close(fds[0]);
		open_db();
		cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
		cr_expect_eq(lockdb_session_get(t, last, &got, NULL), 1,
		    "what was committed is there");
		for (i = 1; i <= last + 1000; i++)
			lockdb_session_del(t, i, NULL);
		cr_assert_eq(lockdb_commit(&t, NULL), 0);
		cr_expect_eq(lock_as(round + 1, group, NULL, NULL), 0);
		cr_assert_eq(lockdb_begin(db, true, &t, NULL), 0);
		lockdb_unlock_all(t, round + 1, NULL);
		cr_assert_eq(lockdb_commit(&t, NULL), 0);
		lockdb_close(&db);
	}
	open_db();
}

Test(lockdb, makes_new_ids)
{
	uint64_t a = lockdb_new_id(), b = lockdb_new_id();

	cr_expect(a != 0 && b != 0 && a != b);
}

/* Task logs: names, lines, ends, what a restart leaves, lists and paging. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/io.h"
#include "common/msg.h"
#include "common/path.h"
#include "validator/task.h"
#include "validator/task_read.h"

static char dir[64];

static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/test_task.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void
tear_down(void)
{
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY);

	path_remove_tree(fd, dir + 5, NULL);
	close(fd);
}

TestSuite(task, .init = set_up, .fini = tear_down);

static struct tasks *
open_tasks(void)
{
	struct err e;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct tasks *t;

	cr_assert_neq(fd, -1);
	t = tasks_open(fd, &e);
	cr_assert_not_null(t, "%s", e.msg);
	return t;
}

static struct task *
start(struct tasks *t, const char *type, const char *id, const char *who)
{
	struct err e;
	struct task *k = task_start(t, type, id, who, &e);

	cr_assert_not_null(k, "%s", e.msg);
	return k;
}

struct lines {
	char text[16][256];
	uint64_t first;
	size_t n;
};

static int
add_line(void *arg, uint64_t n, const char *text, size_t len)
{
	struct lines *l = arg;

	cr_assert_eq(strlen(text), len);
	cr_assert_lt(l->n, 16);
	if (l->n == 0)
		l->first = n;
	cr_assert_eq(n, l->first + l->n);
	snprintf(l->text[l->n++], sizeof(l->text[0]), "%s", text);
	return 0;
}

static uint64_t
read_lines(struct tasks *t, const char *upid, uint64_t from, uint64_t limit,
    struct lines *l)
{
	struct upid u;
	uint64_t total;
	struct err e;

	memset(l, 0, sizeof(*l));
	cr_assert_eq(upid_parse(&u, upid, NULL), 0);
	cr_assert_eq(task_log_read(tasks_dirfd(t), &u, from, limit, add_line, l,
			 &total, &e),
	    0, "%s", e.msg);
	return total;
}

Test(task, lines_have_the_form_that_clients_cut)
{
	struct tasks *t = open_tasks();
	struct task *k = start(t, "backup", "s1:host/h-1", "u@pbs");
	char upid[UPID_STR_MAX + 1];
	struct lines l;

	snprintf(upid, sizeof(upid), "%s", task_upid(k));
	cr_assert_not_null(strstr(upid, ":backup:s1\\x3ahost-h\\x2d1:u@pbs:"));
	task_log(k, "hello %d", 7);
	task_log(k, "evil\nline");
	task_end(&k, NULL);
	cr_assert_null(k);
	cr_assert_eq(read_lines(t, upid, 0, 0, &l), 3);
	cr_assert_eq(strncmp(l.text[0] + 25, ": hello 7", 9), 0);
	cr_assert_eq(l.text[0][10], 'T');
	cr_assert_eq(l.text[0][22], ':');
	cr_assert_str_eq(l.text[1] + 27, "evil?line");
	cr_assert_str_eq(l.text[2] + 27, "TASK OK");
	tasks_close(&t);
}

Test(task, ends_say_how)
{
	static const struct {
		int warnings;
		const char *error;
		const char *status;
	} cases[] = {
	    {0, NULL, "OK"},
	    {2, NULL, "WARNINGS: 2"},
	    {1, "it broke", "it broke"},
	};
	struct tasks *t = open_tasks();
	char upid[UPID_STR_MAX + 1], status[256];
	struct task *k;
	struct upid u;
	struct err e;
	int64_t when;
	size_t i;
	int n;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		k = start(t, "prune", "s1", "u@pbs");
		snprintf(upid, sizeof(upid), "%s", task_upid(k));
		cr_assert_eq(upid_parse(&u, upid, NULL), 0);
		cr_assert_eq(task_log_status(tasks_dirfd(t), &u, status,
				 sizeof(status), &when, NULL),
		    0);
		cr_assert_str_eq(status, "unknown");
		for (n = 0; n < cases[i].warnings; n++)
			task_warn(k, "careful");
		if (cases[i].error != NULL)
			err_set(&e, ERR_IO, "%s", cases[i].error);
		task_end(&k, cases[i].error != NULL ? &e : NULL);
		cr_assert_eq(task_log_status(tasks_dirfd(t), &u, status,
				 sizeof(status), &when, NULL),
		    0);
		cr_assert_str_eq(status, cases[i].status);
		cr_assert_leq(llabs(when - io_realtime_s()), 60);
	}
	tasks_close(&t);
}

Test(task, pages_are_exact)
{
	struct tasks *t = open_tasks();
	struct task *k = start(t, "backup", "s1:host/a", "u@pbs");
	struct lines l;
	int i;

	for (i = 1; i <= 10; i++)
		task_log(k, "line %d", i);
	cr_assert_eq(read_lines(t, task_upid(k), 1, 4, &l), 10);
	cr_assert_eq(l.n, 4);
	cr_assert_eq(l.first, 1);
	cr_assert_eq(read_lines(t, task_upid(k), 0, 4, &l), 10);
	cr_assert_eq(l.first, 1, "0 and 1 are the same");
	cr_assert_eq(read_lines(t, task_upid(k), 9, 4, &l), 10);
	cr_assert_eq(l.n, 2);
	cr_assert_eq(l.first, 9);
	cr_assert_eq(read_lines(t, task_upid(k), 11, 4, &l), 10);
	cr_assert_eq(l.n, 0);
	task_end(&k, NULL);
	tasks_close(&t);
}

Test(task, long_lines_are_cut_to_one)
{
	struct tasks *t = open_tasks();
	struct task *k = start(t, "backup", "s1:host/a", "u@pbs");
	char *big = malloc(3 * TASK_LINE_MAX);
	struct lines l;

	memset(big, 'x', 3 * TASK_LINE_MAX - 1);
	big[3 * TASK_LINE_MAX - 1] = '\0';
	task_log(k, "%s", big);
	free(big);
	cr_assert_eq(read_lines(t, task_upid(k), 1, 0, &l), 1);
	task_end(&k, NULL);
	tasks_close(&t);
}

struct listed {
	char upid[8][UPID_STR_MAX + 1];
	char status[8][64];
	int64_t end[8];
	size_t n;
};

static void
add_task(void *arg, const char *upid, int64_t endtime, const char *status)
{
	struct listed *l = arg;

	cr_assert_lt(l->n, 8);
	snprintf(l->upid[l->n], sizeof(l->upid[0]), "%s", upid);
	snprintf(l->status[l->n], sizeof(l->status[0]), "%s", status);
	l->end[l->n++] = endtime;
}

static uint64_t
list(struct tasks *t, struct task_filter *f, struct listed *l)
{
	size_t n;
	const char **running = tasks_running(t, &n);
	uint64_t total;

	memset(l, 0, sizeof(*l));
	cr_assert_eq(task_list(tasks_dirfd(t), running, n, f, add_task, l,
			 &total, NULL),
	    0);
	free(running);
	return total;
}

Test(task, list_is_newest_first_and_filtered)
{
	struct tasks *t = open_tasks();
	struct task *a = start(t, "backup", "s1:host/a", "u@pbs");
	struct task *b = start(t, "reader", "s2:host/a/1", "u@pbs!tok");
	struct task *c = start(t, "backup", "s1:host/b", "w@pbs");
	struct task_filter f = {0};
	char upid_a[UPID_STR_MAX + 1], upid_b[UPID_STR_MAX + 1];
	struct listed l;
	struct err e;

	snprintf(upid_a, sizeof(upid_a), "%s", task_upid(a));
	snprintf(upid_b, sizeof(upid_b), "%s", task_upid(b));
	task_end(&a, NULL);
	err_set(&e, ERR_IO, "broken");
	task_end(&b, &e);
	cr_assert_eq(list(t, &f, &l), 3);
	cr_assert_str_eq(l.upid[0], task_upid(c));
	cr_assert_eq(l.end[0], 0);
	cr_assert_str_eq(l.upid[1], upid_b);
	cr_assert_str_eq(l.status[1], "broken");
	cr_assert_str_eq(l.upid[2], upid_a);
	f = (struct task_filter){.flags = TASK_FLAG_RUNNING};
	cr_assert_eq(list(t, &f, &l), 1);
	f = (struct task_filter){.flags = TASK_FLAG_ERRORS};
	cr_assert_eq(list(t, &f, &l), 1);
	cr_assert_str_eq(l.upid[0], upid_b);
	f = (struct task_filter){.flags = TASK_FLAG_OK};
	cr_assert_eq(list(t, &f, &l), 1);
	f = (struct task_filter){.store = "s1"};
	cr_assert_eq(list(t, &f, &l), 2);
	f = (struct task_filter){.store = "s"};
	cr_assert_eq(list(t, &f, &l), 0, "a store is not a prefix");
	f = (struct task_filter){.type = "read"};
	cr_assert_eq(list(t, &f, &l), 1);
	f = (struct task_filter){.auth_id = "u@pbs"};
	cr_assert_eq(list(t, &f, &l), 2, "own, and those of own tokens");
	f = (struct task_filter){.auth_id = "u@pbs!tok"};
	cr_assert_eq(list(t, &f, &l), 1);
	f = (struct task_filter){.start = 1, .limit = 1};
	cr_assert_eq(list(t, &f, &l), 3, "however few are asked for");
	cr_assert_eq(l.n, 1);
	cr_assert_str_eq(l.upid[0], upid_b);
	task_end(&c, NULL);
	tasks_close(&t);
}

/* Those that run are named first, the files are read later. */
Test(task, one_that_ends_meanwhile_is_listed_once)
{
	struct tasks *t = open_tasks();
	struct task *a = start(t, "backup", "s1:host/a", "u@pbs");
	struct task *b = start(t, "backup", "s1:host/b", "u@pbs");
	struct task_filter f = {0};
	char upid_a[UPID_STR_MAX + 1], upid_b[UPID_STR_MAX + 1];
	const char *const running[] = {upid_b, upid_a};
	struct listed l = {.n = 0};
	uint64_t total;

	snprintf(upid_a, sizeof(upid_a), "%s", task_upid(a));
	snprintf(upid_b, sizeof(upid_b), "%s", task_upid(b));
	task_end(&a, NULL);
	cr_assert_eq(task_list(tasks_dirfd(t), running, 2, &f, add_task, &l,
			 &total, NULL),
	    0);
	cr_assert_eq(total, 2);
	cr_assert_eq(l.n, 2);
	cr_expect_str_eq(l.upid[0], upid_b);
	cr_expect_eq(l.end[0], 0);
	cr_expect_str_eq(l.upid[1], upid_a);
	cr_expect_neq(l.end[1], 0);
	cr_expect_str_eq(l.status[1], "OK");
	task_end(&b, NULL);
	tasks_close(&t);
}

#define UPID(start, type, id, user) \
	"UPID:n1:0000A1B2:00BC614E:0000001F:" start ":" type ":" id ":" user ":"

/* The last digits of the start times that pass, in their order. */
static void
expect_list(int fd, struct task_filter f, const char *starts, uint64_t total)
{
	static const char *const running[] = {
	    UPID("66671C80", "backup", "s1\\x3ahost-h1", "u@pbs")};
	struct listed l = {.n = 0};
	uint64_t have;
	char text[9] = "";
	struct upid u;
	size_t i;

	cr_assert_eq(task_list(fd, running, 1, &f, add_task, &l, &have, NULL),
	    0);
	for (i = 0; i < l.n; i++) {
		cr_assert_eq(upid_parse(&u, l.upid[i], NULL), 0);
		text[i] = (char)('0' + (u.start & 15));
	}
	cr_expect_str_eq(text, starts);
	cr_expect_eq(have, total);
}

Test(task, each_filter)
{
	static const char index[] = UPID("66671C83", "reader", "",
	    "v@pbs") " 9 broken\n"
		     "UPID:not:one 9 OK\n" UPID("66671C84", "backup", "s1",
			 "u@pbs") " x OK\n"
				  "torn\0\0\n" UPID("66671C81", "prune", "s2",
				      "u@pbs!tok") " 9 OK\n";
	static const char older[] = UPID("66671C82", "backup", "s1\\x3ahost-h2",
	    "v@pbs") " 9 WARNINGS: 2\n" UPID("66671C85", "backup", "s1",
	    "u@pbs");
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	cr_assert_eq(io_write_file_atomic(fd, "index", index, sizeof(index) - 1,
			 0600, 0, NULL),
	    0);
	cr_assert_eq(io_write_file_atomic(fd, "index.1", older,
			 sizeof(older) - 1, 0600, 0, NULL),
	    0);
#define EXPECT(starts, total, ...) \
	expect_list(fd, (struct task_filter){__VA_ARGS__}, starts, total)
	EXPECT("3210", 4, .start = 0);
	EXPECT("32", 4, .limit = 2);
	EXPECT("21", 4, .start = 1, .limit = 2);
	EXPECT("0", 4, .start = 3, .limit = UINT64_MAX);
	EXPECT("", 4, .start = 4);
	EXPECT("", 4, .start = UINT64_MAX);
	EXPECT("0", 1, .flags = TASK_FLAG_RUNNING);
	EXPECT("32", 2, .flags = TASK_FLAG_ERRORS);
	EXPECT("21", 2, .flags = TASK_FLAG_OK | TASK_FLAG_WARNING);
	EXPECT("2", 1, .flags = TASK_FLAG_ERRORS | TASK_FLAG_WARNING);
	EXPECT("", 0, .flags = TASK_FLAG_RUNNING | TASK_FLAG_OK);
	EXPECT("", 0, .flags = TASK_FLAG_UNKNOWN);
	EXPECT("20", 2, .store = "s1");
	EXPECT("", 0, .store = "s");
	EXPECT("3210", 4, .store = "", .user = "", .type = "");
	EXPECT("10", 2, .user = "u@pbs");
	EXPECT("1", 1, .user = "!");
	EXPECT("3", 1, .type = "read");
	EXPECT("32", 2, .since = 0x66671C82);
	EXPECT("10", 2, .until = 0x66671C81);
	EXPECT("", 0, .until = -1);
	EXPECT("2", 1, .since = 0x66671C82, .until = 0x66671C82);
	EXPECT("32", 2, .auth_id = "v@pbs");
#undef EXPECT
	close(fd);
}

Test(task, restart_adopts_or_ends)
{
	struct tasks *t = open_tasks();
	struct task *a = start(t, "backup", "s1:host/a", "u@pbs");
	struct task *b = start(t, "backup", "s1:host/b", "u@pbs");
	char upid_a[UPID_STR_MAX + 1], upid_b[UPID_STR_MAX + 1];
	char status[64];
	struct upid u;
	struct lines l;
	int64_t when;

	snprintf(upid_a, sizeof(upid_a), "%s", task_upid(a));
	snprintf(upid_b, sizeof(upid_b), "%s", task_upid(b));
	task_log(a, "before");
	tasks_close(&t);

	t = open_tasks();
	a = task_adopt(t, upid_a, NULL);
	cr_assert_not_null(a);
	cr_assert_null(task_adopt(t, upid_a, NULL), "only once");
	tasks_end_orphans(t);
	cr_assert_null(tasks_find(t, upid_b));
	cr_assert_eq(tasks_find(t, upid_a), a);
	cr_assert_eq(upid_parse(&u, upid_b, NULL), 0);
	cr_assert_eq(task_log_status(tasks_dirfd(t), &u, status, sizeof(status),
			 &when, NULL),
	    0);
	cr_assert_str_eq(status, "the server ended");
	task_log(a, "after");
	cr_assert_eq(read_lines(t, upid_a, 1, 0, &l), 2);
	task_end(&a, NULL);
	tasks_close(&t);

	t = open_tasks();
	cr_assert_null(task_adopt(t, upid_a, NULL));
	tasks_close(&t);
}

/* However often it ended; and what is kept of them stays small. */
Test(task, those_that_ended_are_not_found_again)
{
	char first[UPID_STR_MAX + 1], last[UPID_STR_MAX + 1], path[256];
	struct tasks *t = open_tasks();
	struct task *a = start(t, "backup", "s1:host/a", "u@pbs"), *b;
	struct stat st;
	int i;

	snprintf(first, sizeof(first), "%s", task_upid(a));
	for (i = 0; i < 500; i++) {
		b = start(t, "backup", "s1:host/b", "u@pbs");
		snprintf(last, sizeof(last), "%s", task_upid(b));
		task_end(&b, NULL);
		if (i % 100 != 50)
			continue;
		tasks_close(&t);
		t = open_tasks();
		cr_assert_null(task_adopt(t, last, NULL));
		a = task_adopt(t, first, NULL);
		cr_assert_not_null(a);
		if (i > 200)
			tasks_end_orphans(t);
	}
	snprintf(path, sizeof(path), "%s/active", dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_lt(st.st_size, 80 * (off_t)strlen(last));
	task_end(&a, NULL);
	tasks_close(&t);
	t = open_tasks();
	cr_expect_null(task_adopt(t, first, NULL));
	tasks_close(&t);
}

static unsigned int stops;

static void
on_stop(void *arg)
{
	(void)arg;
	stops++;
}

Test(task, stops_once)
{
	struct tasks *t = open_tasks();
	struct task *a = start(t, "backup", "s1:host/a", "u@pbs");
	struct err e;

	cr_assert_eq(tasks_stop(t, task_upid(a), &e), -1);
	cr_assert_eq(e.code, ERR_UNSUPPORTED);
	task_on_stop(a, on_stop, NULL);
	cr_assert_eq(tasks_stop(t, task_upid(a), &e), 0);
	cr_assert_eq(tasks_stop(t, task_upid(a), &e), -1);
	cr_assert_eq(stops, 1);
	cr_assert_eq(tasks_stop(t, "UPID:no", &e), -1);
	cr_assert_eq(e.code, ERR_NOT_FOUND);
	task_end(&a, NULL);
	tasks_close(&t);
}

Test(task, no_text_from_outside_in_a_path)
{
	struct upid u = {.task_id = 0x1ff, .pid = 2, .start = 3};
	char name[TASK_NAME_MAX];

	snprintf(u.worker_id, sizeof(u.worker_id), "../../etc");
	task_log_name(&u, name);
	cr_assert_str_eq(name, "FF/00000003-00000002-00000000-000001FF");
}

Test(task, own_and_visible)
{
	struct upid u = {0};

	snprintf(u.auth_id, sizeof(u.auth_id), "u@pbs!tok");
	cr_assert(task_is_visible(&u, "u@pbs"));
	cr_assert(task_is_visible(&u, "u@pbs!tok"));
	cr_assert_not(task_is_visible(&u, "u@pbs!two"));
	cr_assert_not(task_is_visible(&u, "v@pbs"));
	cr_assert(task_is_own(&u, "u@pbs!tok"));
	cr_assert_not(task_is_own(&u, "u@pbs"));
}

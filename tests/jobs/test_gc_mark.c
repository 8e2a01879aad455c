/* Marking: every index wherever it lies, what sessions have, and what may not
 * be passed over. */
#include "config.h"

#include "validator/jobs/gc_mark.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/path.h"
#include "common/format/fixed_index.h"
#include "tests/store/fixture.h"
#include "validator/jobs/gc_filter.h"
#include "validator/store/deposit_log.h"
#include "validator/store/layout.h"

#define CHUNK (4u << 20)
#define SNAP "host/a/2023-11-14T22:13:20Z"

static struct gc_filter filter;
static struct gc_marks marks;
static struct digest_ctx *hash;

static void
init(void)
{
	fixture_init();
	hash = digest_ctx_new();
	cr_assert_eq(gc_filter_init(&filter, 1000, NULL), 0);
	gc_marks_init(&marks, fx.store->root_fd, &filter);
}

static void
fini(void)
{
	gc_marks_fini(&marks);
	gc_filter_fini(&filter);
	digest_ctx_free(hash);
	fixture_fini();
}

TestSuite(gc_mark, .init = init, .fini = fini);

static struct digest
number(uint32_t n)
{
	struct digest d;

	digest_of(hash, &n, sizeof(n), &d);
	return d;
}

static bool
has(uint32_t n)
{
	struct digest d = number(n);

	return gc_filter_has(&filter, &d);
}

/* An index of these chunks, first .. last, below the datastore. */
static void
make_index(const char *folder, const char *name, uint32_t first, uint32_t last)
{
	uint8_t data[INDEX_HEADER_LEN + 64 * DIGEST_LEN];
	const uint8_t uuid[INDEX_UUID_LEN] = {1};
	uint32_t n = last - first + 1, i;
	struct digest d, csum;
	char path[512];

	for (i = 0; i < n; i++) {
		d = number(first + i);
		memcpy(data + fixed_index_entry_pos(i), d.b, DIGEST_LEN);
	}
	digest_of(hash, data + INDEX_HEADER_LEN, n * DIGEST_LEN, &csum);
	fixed_index_put_header(data, uuid, 1, &csum, (uint64_t)n * CHUNK,
	    CHUNK);
	if (folder[0] != '\0')
		cr_assert_eq(path_mkdirs(fx.store->root_fd, folder, 0755, NULL),
		    0);
	snprintf(path, sizeof(path), "%s%s%s", folder,
	    folder[0] == '\0' ? "" : "/", name);
	fixture_write(path, data, INDEX_HEADER_LEN + n * DIGEST_LEN);
}

/* A whole pass; how many files it marked, or -1. */
static int
pass(struct err *e)
{
	uint64_t before = marks.files;
	int rv;

	if (gc_marks_list(&marks, e) == -1)
		return -1;
	while ((rv = gc_marks_next(&marks, e)) == 1)
		continue;
	return rv == -1 ? -1 : (int)(marks.files - before);
}

Test(gc_mark, wherever_they_lie)
{
	struct err e;

	make_index(SNAP, "a.fidx", 1, 3);
	make_index("ns/x/ns/y/" SNAP, "b.fidx", 4, 4);
	make_index("", "c.fidx", 5, 5);
	make_index("some/where/else", "d.fidx", 6, 6);
	make_index(SNAP, ".hidden.fidx", 7, 7);
	make_index(".trash/" SNAP, "e.fidx", 8, 8);
	make_index(SNAP, "f.tmp_fidx", 9, 9);
	cr_assert_eq(pass(&e), 4, "%s", e.msg);
	cr_expect(has(1) && has(2) && has(3) && has(4) && has(5) && has(6));
	cr_expect_not(has(7) || has(8) || has(9));
	cr_expect_eq(marks.files, 4);
	cr_expect_eq(marks.bytes, 6 * (uint64_t)CHUNK);
	cr_expect_eq(marks.unexpected, 2);
	cr_expect_not(marks.vanished);
}

Test(gc_mark, in_groups_and_namespaces_with_the_name_of_an_index)
{
	struct err e;

	make_index("host/a.fidx/2022-05-02T08:11:33Z", "a.fidx", 1, 1);
	make_index("ns/b.didx/" SNAP, "b.fidx", 2, 2);
	cr_assert_eq(pass(&e), 2, "%s", e.msg);
	cr_expect(has(1) && has(2));
	cr_expect_eq(marks.unexpected, 0);
}

Test(gc_mark, only_new_ones_in_the_next_pass)
{
	struct err e;

	make_index(SNAP, "a.fidx", 1, 1);
	cr_assert_eq(pass(&e), 1);
	cr_assert_eq(pass(&e), 0);
	make_index(SNAP, "b.fidx", 2, 2);
	cr_assert_eq(pass(&e), 1);
	/* Under the same name, but another one. */
	make_index(SNAP, "a.fidx", 3, 4);
	cr_assert_eq(pass(&e), 1);
	cr_expect(has(1) && has(2) && has(3) && has(4));
}

Test(gc_mark, one_that_vanishes_is_noted)
{
	struct err e;

	make_index(SNAP, "a.fidx", 1, 1);
	make_index(SNAP, "b.fidx", 2, 2);
	cr_assert_eq(gc_marks_list(&marks, &e), 0);
	cr_assert_eq(unlinkat(fx.store->root_fd, SNAP "/a.fidx", 0), 0);
	cr_assert_eq(gc_marks_next(&marks, &e), 1);
	cr_assert_eq(gc_marks_next(&marks, &e), 1);
	cr_assert_eq(gc_marks_next(&marks, &e), 0);
	cr_expect(marks.vanished);
	cr_expect(has(2) && !has(1));
	cr_assert_eq(pass(&e), 0);
	cr_expect_not(marks.vanished);
}

static void
must_fail(const char *text)
{
	struct err e;

	cr_assert_eq(pass(&e), -1);
	cr_expect_not_null(strstr(e.msg, text), "%s", e.msg);
}

Test(gc_mark, damaged_ones_end_it)
{
	const char *path = SNAP "/a.fidx";
	char byte;
	int fd;

	make_index(SNAP, "a.fidx", 1, 4);
	fd = openat(fx.store->root_fd, path, O_RDWR);
	cr_assert_neq(fd, -1);
	/* A digest. */
	cr_assert_eq(pread(fd, &byte, 1, 4100), 1);
	byte ^= 1;
	cr_assert_eq(pwrite(fd, &byte, 1, 4100), 1);
	must_fail("cannot read index " SNAP "/a.fidx: wrong checksum");
	/* Short by an entry, by most, by all. */
	cr_assert_eq(ftruncate(fd, INDEX_HEADER_LEN + 96), 0);
	must_fail(path);
	cr_assert_eq(ftruncate(fd, 100), 0);
	must_fail(path);
	cr_assert_eq(ftruncate(fd, 0), 0);
	must_fail(path);
	close(fd);
}

Test(gc_mark, what_is_no_file_ends_it)
{
	cr_assert_eq(path_mkdirs(fx.store->root_fd, SNAP "/a.fidx", 0755, NULL),
	    0);
	must_fail("cannot read index");
	cr_assert_eq(unlinkat(fx.store->root_fd, SNAP "/a.fidx", AT_REMOVEDIR),
	    0);
	cr_assert_eq(symlinkat("b", fx.store->root_fd, SNAP "/a.didx"), 0);
	must_fail("cannot open index");
}

Test(gc_mark, links_are_not_followed)
{
	struct err e;

	make_index("elsewhere", "a.fidx", 1, 1);
	cr_assert_eq(symlinkat("elsewhere", fx.store->root_fd, "linked"), 0);
	cr_assert_eq(pass(&e), 1);
}

Test(gc_mark, sessions)
{
	const char *folder = ".holdfast/sessions/0123456789abcdef";
	struct digest d;
	struct err e;
	uint32_t i;
	int dir, fd;

	cr_assert_eq(path_mkdirs(fx.store->root_fd, folder, 0700, NULL), 0);
	dir = openat(fx.store->root_fd, folder, O_RDONLY | O_DIRECTORY);
	fd = deposit_log_open(dir, NULL);
	cr_assert_neq(fd, -1);
	for (i = 0; i < 2000; i++) {
		d = number(i);
		cr_assert_eq(deposit_log_put(fd, i, &d, 1, NULL), 0);
	}
	make_index(folder, "a.fidx", 3000, 3010);
	cr_assert_eq(pass(&e), 0, "those are no snapshots");
	for (i = 0; i < 2000; i++)
		cr_expect(has(i), "%u", i);
	cr_expect(has(3000) && has(3010));
	/* In the middle of finish: the log is gone. */
	cr_assert_eq(unlinkat(dir, DEPOSIT_LOG_NAME, 0), 0);
	cr_assert_eq(pass(&e), 0);
	close(fd);
	close(dir);
}

Test(gc_mark, damage_in_a_session_ends_it)
{
	make_index(".holdfast/sessions/0123456789abcdef", "a.fidx", 1, 1);
	fixture_write(".holdfast/sessions/0123456789abcdef/a.fidx", "x", 1);
	must_fail("cannot read what session 0123456789abcdef has");
}

static bool
stopped(const void *arg)
{
	(void)arg;
	return true;
}

Test(gc_mark, ends_when_stopped)
{
	struct err e;

	make_index(SNAP, "a.fidx", 1, 1);
	marks.is_stopped = stopped;
	cr_assert_eq(pass(&e), -1);
	cr_expect_eq(e.code, ERR_ABORTED);
}

Test(gc_mark, too_deep)
{
	char path[512] = "";
	int i;

	for (i = 0; i < PATH_DEPTH_MAX + 2; i++)
		strcat(path, i == 0 ? "d" : "/d");
	cr_assert_eq(path_mkdirs(fx.store->root_fd, path, 0755, NULL), 0);
	must_fail("lies too deep");
}

Test(gc_mark, expected_places)
{
	static const struct {
		const char *path;
		bool expected;
	} cases[] = {
	    {SNAP "/a.fidx", true},
	    {"ns/a/" SNAP "/a.fidx", true},
	    {"ns/a/ns/b/vm/100/2023-11-14T22:13:20Z/a.fidx", true},
	    {"a.fidx", false},
	    {"ns/a.fidx", false},
	    {"ns/a/a.fidx", false},
	    {"host/a/a.fidx", false},
	    {"host/a/2023-11-14T22:13:20Z/sub/a.fidx", false},
	    {"host/a/yesterday/a.fidx", false},
	    {"other/a/2023-11-14T22:13:20Z/a.fidx", false},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(gc_path_is_expected(cases[i].path),
		    cases[i].expected, "%s", cases[i].path);
}

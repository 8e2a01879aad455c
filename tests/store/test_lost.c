/* What is lost while a backup is committed. */
#include "config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "common/format/dynamic_index.h"
#include "common/io.h"
#include "tests/store/fixture.h"
#include "validator/store/chunk_store.h"
#include "validator/store/layout.h"
#include "validator/store/lost.h"

TestSuite(lost, .init = fixture_init, .fini = fixture_fini);

/* A folder with a dynamic index of chunks 0 to n - 1; none is stored. */
static int
make_folder(uint32_t n)
{
	uint8_t head[INDEX_HEADER_LEN], uuid[16] = {0};
	uint8_t entry[DYNAMIC_INDEX_ENTRY_LEN];
	struct digest d;
	uint32_t i;
	int dir, fd;

	cr_assert_eq(mkdirat(fx.state_fd, "folder", 0700), 0);
	dir = openat(fx.state_fd, "folder", O_RDONLY | O_DIRECTORY);
	fd = openat(dir, "root.pxar.didx", O_WRONLY | O_CREAT, 0600);
	cr_assert_neq(fd, -1);
	dynamic_index_put_header(head, uuid, 1, NULL);
	cr_assert_eq(io_write_full(fd, head, sizeof(head), NULL), 0);
	for (i = 0; i < n; i++) {
		d = fixture_digest(i);
		dynamic_index_put_entry(entry, (i + 1) * UINT64_C(1000), &d);
		cr_assert_eq(io_write_full(fd, entry, sizeof(entry), NULL), 0);
	}
	close(fd);
	fd = openat(dir, "notes.blob", O_WRONLY | O_CREAT, 0600);
	close(fd);
	return dir;
}

static void
store_chunk(uint32_t i)
{
	struct digest d = fixture_digest(i);
	char path[200];

	fixture_chunk_path(&d, path);
	fixture_write(path, "123456789012", 12);
}

static void
remove_chunk(uint32_t i)
{
	struct digest d = fixture_digest(i);
	char path[200];

	digest_chunk_path(&d, path);
	cr_assert_eq(unlinkat(fx.store->chunks_fd, path, 0), 0);
}

static void
tell(uint32_t i)
{
	struct digest d = fixture_digest(i);

	lost_tell(fx.store, &d);
}

static int
look(struct lost_watch *w, int dir, uint32_t *hit_out, struct err *e)
{
	atomic_bool stop = false;
	struct digest hit, d;
	int rv = lost_watch_look(w, dir, &stop, NULL, &hit, e);
	uint32_t i;

	for (i = 0; rv == 1 && i < 5000; i++) {
		d = fixture_digest(i);
		if (digest_equal(&d, &hit)) {
			*hit_out = i;
			break;
		}
	}
	return rv;
}

Test(lost, finds_references)
{
	struct digest known = fixture_digest(2500);
	struct lost_watch *w;
	int dir = make_folder(2501);
	uint32_t hit = 0;
	struct err e;

	w = lost_watch_begin(fx.store, &known, 1, false);
	cr_assert_eq(look(w, dir, &hit, &e), 1);
	cr_expect_eq(hit, 2500);
	lost_watch_end(&w);
	cr_expect_null(w);

	known = fixture_digest(2501);
	w = lost_watch_begin(fx.store, &known, 1, false);
	cr_expect_eq(look(w, dir, &hit, &e), 0, "nobody refers to it");
	cr_expect_not(lost_watch_refers(w));
	lost_watch_end(&w);
	close(dir);
}

Test(lost, is_told_what_comes_later)
{
	int dir = make_folder(3);
	struct lost_watch *w, *other;
	uint32_t hit = 0;
	struct err e;

	w = lost_watch_begin(fx.store, NULL, 0, false);
	other = lost_watch_begin(fx.store, NULL, 0, false);
	cr_expect_eq(look(w, dir, &hit, &e), 0);
	store_chunk(1);
	tell(7);
	tell(1);
	tell(1);
	cr_expect_eq(look(w, dir, &hit, &e), 0, "%s", e.msg);
	cr_expect(lost_watch_refers(w), "which may not be synced");
	/* It is not told twice: what was found once is looked at each time. */
	remove_chunk(1);
	cr_expect_eq(look(w, dir, &hit, &e), 1);
	cr_expect_eq(hit, 1);
	cr_expect_not(lost_watch_refers(other), "has not looked yet");
	cr_expect_eq(look(other, dir, &hit, &e), 1);
	lost_watch_end(&w);
	tell(2);
	lost_watch_end(&other);
	tell(2);
	close(dir);
}

/* Else a verification of a broken disk would hold up each commit. */
Test(lost, looks_at_no_index_again_for_nothing)
{
	struct lost_watch *w = lost_watch_begin(fx.store, NULL, 0, true);
	int dir = make_folder(1);
	uint32_t hit = 0;
	struct err e;

	store_chunk(0);
	cr_expect_eq(look(w, dir, &hit, &e), 0);
	/* Each chunk once: nobody told that this one has gone. */
	remove_chunk(0);
	tell(7);
	cr_expect_eq(look(w, dir, &hit, &e), 0);
	cr_assert_eq(unlinkat(dir, "root.pxar.didx", 0), 0);
	cr_expect_eq(look(w, dir, &hit, &e), 0);
	lost_watch_end(&w);
	close(dir);
}

Test(lost, looks_at_all_if_there_are_more)
{
	struct digest known = fixture_digest(2);
	int dir = make_folder(3);
	struct lost_watch *w;
	uint32_t hit = 9, i;
	struct err e;

	for (i = 0; i < 3; i++) {
		w = lost_watch_begin(fx.store, &known, 1, true);
		cr_expect_eq(look(w, dir, &hit, &e), 1);
		cr_expect_eq(hit, i);
		lost_watch_end(&w);
		store_chunk(i);
	}
	w = lost_watch_begin(fx.store, &known, 1, true);
	cr_expect_eq(look(w, dir, &hit, &e), 0);
	/* The known ones are still sought. */
	remove_chunk(2);
	cr_expect_eq(look(w, dir, &hit, &e), 1);
	lost_watch_end(&w);
	close(dir);
}

Test(lost, takes_turns)
{
	struct lost_watch *w = lost_watch_begin(fx.store, NULL, 0, true);
	int dir = make_folder(1500), slices = 0;
	atomic_bool stop = false;
	struct digest hit;
	struct err e;
	bool more;
	uint32_t i;

	for (i = 0; i < 1500; i++)
		store_chunk(i);
	do {
		cr_assert_eq(lost_watch_look(w, dir, &stop, &more, &hit, &e),
		    0);
		if (slices++ == 0) {
			remove_chunk(0);
			tell(0);
		}
	} while (more);
	cr_expect_eq(slices, 3);
	cr_expect_eq(lost_watch_look(w, dir, &stop, &more, &hit, &e), 1,
	    "what was lost behind it is found the next time");
	lost_watch_end(&w);
	close(dir);
}

Test(lost, can_be_stopped)
{
	struct lost_watch *w = lost_watch_begin(fx.store, NULL, 0, true);
	int dir = make_folder(3);
	atomic_bool stop = true;
	struct digest hit;
	struct err e;

	cr_expect_eq(lost_watch_look(w, dir, &stop, NULL, &hit, &e), -1);
	cr_expect_eq(e.code, ERR_ABORTED);
	lost_watch_end(&w);
	close(dir);
}

Test(lost, a_folder_without_indexes)
{
	struct lost_watch *w = lost_watch_begin(fx.store, NULL, 0, true);
	uint32_t hit = 0;
	struct err e;
	int dir;

	cr_assert_eq(mkdirat(fx.state_fd, "empty", 0700), 0);
	dir = openat(fx.state_fd, "empty", O_RDONLY | O_DIRECTORY);
	cr_expect_eq(look(w, dir, &hit, &e), 0);
	lost_watch_end(&w);
	close(dir);
}

Test(lost, a_damaged_index_is_an_error)
{
	struct lost_watch *w = lost_watch_begin(fx.store, NULL, 0, true);
	int dir = make_folder(10), fd;
	uint32_t hit = 0;
	struct err e;

	fd = openat(dir, "root.pxar.didx", O_WRONLY);
	cr_assert_eq(ftruncate(fd, INDEX_HEADER_LEN + 17), 0);
	close(fd);
	cr_expect_eq(look(w, dir, &hit, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	lost_watch_end(&w);
	close(dir);
}

Test(lost, too_many_are_an_error)
{
	struct lost_watch *w = lost_watch_begin(fx.store, NULL, 0, false);
	struct digest d = {{0}};
	int dir = make_folder(1);
	uint32_t hit = 0, i;
	struct err e;

	for (i = 0; i <= LOST_NEWS_MAX; i++) {
		memcpy(d.b, &i, sizeof(i));
		lost_tell(fx.store, &d);
	}
	cr_expect_eq(look(w, dir, &hit, &e), -1);
	cr_expect_eq(e.code, ERR_IO);
	lost_watch_end(&w);
	close(dir);
}

Test(lost, a_rename_is_told)
{
	struct lost_watch *w = lost_watch_begin(fx.store, NULL, 0, false);
	struct digest d = fixture_digest(0);
	int dir = make_folder(1), fd, n = -1;
	uint32_t hit = 9;
	uint64_t len;
	struct err e;

	store_chunk(0);
	fd = chunk_open(fx.store, &d, &len, &e);
	cr_assert_eq(chunk_rename_bad(fx.store, &d, fd, &n, &e), 0);
	close(fd);
	cr_expect_eq(n, 0);
	cr_expect_eq(look(w, dir, &hit, &e), 1);
	cr_expect_eq(hit, 0);
	lost_watch_end(&w);
	close(dir);
}

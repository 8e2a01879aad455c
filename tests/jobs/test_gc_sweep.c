/* The sweep: what it proposes, what it counts, and how it ends. */
#include "config.h"

#include "validator/jobs/gc_sweep.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/jobs/gc_filter.h"
#include "validator/store/layout.h"

#define CUTOFF 1000
#define OLDEST 2000

static struct gc_filter filter;
static char proposed[64][80];
static size_t nproposed;
static bool stop, refuse, blind;
static unsigned int progressed;

static void
init(void)
{
	fixture_init();
	cr_assert_eq(gc_filter_init(&filter, 10000, NULL), 0);
}

static void
fini(void)
{
	gc_filter_fini(&filter);
	fixture_fini();
}

TestSuite(gc_sweep, .init = init, .fini = fini);

static bool
is_stopped(const void *arg)
{
	(void)arg;
	return stop;
}

static int
propose(void *arg, const char *names, size_t len, size_t n, struct err *e)
{
	size_t i, k = 0;

	(void)arg;
	if (refuse)
		return err_set(e, ERR_IO, "refused");
	for (i = 0; i < len; i += strlen(names + i) + 1, k++)
		if (nproposed < 64)
			snprintf(proposed[nproposed++], sizeof(proposed[0]),
			    "%s", names + i);
	cr_expect_eq(k, n);
	cr_expect_eq(names[len - 1], '\0');
	return 0;
}

static int
progress(void *arg, unsigned int folders, uint64_t chunks, struct err *e)
{
	(void)arg;
	(void)chunks;
	(void)e;
	cr_expect(folders <= STORE_PREFIXES);
	progressed = folders;
	return 0;
}

static int
sweep_from(struct gc_swept *out, unsigned int sample, unsigned int first,
    struct err *e)
{
	struct gc_sweep s = {
	    .chunks_fd = fx.store->chunks_fd,
	    .filter = &filter,
	    .look = !blind,
	    .cutoff = CUTOFF,
	    .oldest = OLDEST,
	    .sample = sample,
	    .sample_first = first,
	    .threads = 3,
	    .is_stopped = is_stopped,
	    .propose = propose,
	    .progress = progress,
	};

	return gc_sweep(&s, out, e);
}

static int
sweep(struct gc_swept *out, unsigned int sample, struct err *e)
{
	return sweep_from(out, sample, 0, e);
}

/* A file of that chunk's folder with this tail and time. */
static void
make(const struct digest *d, const char *tail, time_t when, size_t len)
{
	struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};
	char path[200], data[256] = {0};

	fixture_chunk_path(d, path);
	strcat(path, tail);
	fixture_write(path, data, len);
	cr_assert_eq(utimensat(fx.store->root_fd, path, times, 0), 0);
}

static bool
is_proposed(const struct digest *d, const char *tail)
{
	char name[80];
	size_t i;

	digest_to_hex(d, name);
	strcat(name, tail);
	for (i = 0; i < nproposed; i++)
		if (strcmp(proposed[i], name) == 0)
			return true;
	return false;
}

Test(gc_sweep, chunks_by_mark_and_age)
{
	struct digest marked = fixture_digest(1), old = fixture_digest(2),
		      pending = fixture_digest(3), young = fixture_digest(4);
	struct gc_swept s;
	struct err e;

	gc_filter_mark(&filter, &marked);
	make(&marked, "", 5, 100);
	make(&old, "", CUTOFF - 1, 10);
	make(&pending, "", CUTOFF, 20);
	make(&young, "", OLDEST, 40);
	cr_assert_eq(sweep(&s, 1, &e), 0);
	cr_expect_eq(nproposed, 1);
	cr_expect(is_proposed(&old, ""));
	cr_expect_eq(s.old_chunks, 1);
	cr_expect_eq(s.old_bytes, 10);
	cr_expect_eq(s.pending_chunks, 1);
	cr_expect_eq(s.pending_bytes, 20);
	cr_expect_eq(s.disk_chunks, 2);
	cr_expect_eq(s.disk_bytes, 140);
	cr_expect_eq(progressed, STORE_PREFIXES);
	cr_expect(gc_filter_all_seen(&filter));
}

/* Whoever takes the proposals looks; at all else the sweep does. */
Test(gc_sweep, without_a_look_all_unmarked_chunks_are_proposed)
{
	struct digest marked = fixture_digest(1), old = fixture_digest(2),
		      young = fixture_digest(3);
	struct gc_swept s;

	gc_filter_mark(&filter, &marked);
	make(&marked, "", 5, 100);
	make(&old, "", 5, 10);
	make(&young, "", OLDEST, 20);
	make(&young, ".0.bad", OLDEST, 40);
	make(&young, ".tmp_aZ09bY", OLDEST, 80);
	blind = true;
	cr_assert_eq(sweep(&s, 1, NULL), 0);
	cr_expect_eq(nproposed, 2);
	cr_expect(is_proposed(&old, ""));
	cr_expect(is_proposed(&young, ""));
	cr_expect_eq(s.old_chunks, 2);
	cr_expect_eq(s.old_bytes, 0);
	cr_expect_eq(s.pending_chunks, 0);
	cr_expect_eq(s.disk_chunks, 1);
	cr_expect_eq(s.disk_bytes, 140);
}

/* A renamed one is as good as none. */
Test(gc_sweep, marked_chunks_that_are_missing)
{
	struct digest here = fixture_digest(1), gone = fixture_digest(2),
		      bad = fixture_digest(3);
	struct gc_swept s;
	struct err e;

	gc_filter_mark(&filter, &here);
	gc_filter_mark(&filter, &gone);
	gc_filter_mark(&filter, &bad);
	make(&here, "", 5, 100);
	make(&bad, ".0.bad", 5, 100);
	cr_assert_eq(sweep(&s, 1, &e), 0);
	cr_expect_not(gc_filter_all_seen(&filter));
	cr_expect(gc_filter_was_seen(&filter, &here));
	cr_expect_not(gc_filter_was_seen(&filter, &gone));
	cr_expect_not(gc_filter_was_seen(&filter, &bad));
}

/* The later of both times counts: a copy may keep only one of them. */
Test(gc_sweep, either_time_keeps_a_chunk)
{
	struct digest d = fixture_digest(1);
	struct timespec times[2] = {{.tv_sec = OLDEST}, {.tv_sec = 5}};
	struct gc_swept s;
	char path[200];
	int i;

	make(&d, "", 5, 10);
	fixture_chunk_path(&d, path);
	for (i = 0; i < 2; i++) {
		times[i].tv_sec = OLDEST;
		times[!i].tv_sec = 5;
		cr_assert_eq(utimensat(fx.store->root_fd, path, times, 0), 0);
		cr_assert_eq(sweep(&s, 1, NULL), 0);
		cr_expect_eq(nproposed, 0);
	}
}

Test(gc_sweep, bad_files)
{
	struct digest wanted = fixture_digest(1), healed = fixture_digest(2),
		      unused = fixture_digest(3), recent = fixture_digest(4);
	struct gc_swept s;

	gc_filter_mark(&filter, &wanted);
	gc_filter_mark(&filter, &healed);
	make(&wanted, ".0.bad", 5, 1);
	make(&healed, ".9.bad", 5, 2);
	make(&healed, "", 5, 4);
	make(&unused, ".3.bad", 5, 8);
	make(&recent, ".0.bad", CUTOFF, 16);
	cr_assert_eq(sweep(&s, 1, NULL), 0);
	cr_expect_eq(nproposed, 2);
	cr_expect(is_proposed(&healed, ".9.bad"));
	cr_expect(is_proposed(&unused, ".3.bad"));
	cr_expect_eq(s.old_bad, 2);
	cr_expect_eq(s.still_bad, 2);
	cr_expect_eq(s.old_bytes, 10);
	cr_expect_eq(s.disk_bytes, 1 + 4 + 16);
	cr_expect_eq(s.disk_chunks, 1);
}

Test(gc_sweep, names_that_are_nobodys)
{
	struct digest d = fixture_digest(1), other = fixture_digest(2);
	char path[200], hex[DIGEST_HEX_LEN + 1];
	struct gc_swept s;

	make(&d, ".tmp_aZ09bY", CUTOFF - 1, 1);
	make(&d, ".tmp_aZ09bZ", CUTOFF, 1);
	make(&d, ".tmp_aZ09b", 5, 1);
	make(&d, ".10.bad", 5, 1);
	make(&d, ".x.bad", 5, 1);
	make(&d, "0", 5, 1);
	make(&d, ".using", 5, 1);
	/* Another chunk's file in this one's folder. */
	fixture_chunk_path(&d, path);
	digest_to_hex(&other, hex);
	strcpy(strrchr(path, '/') + 1, hex);
	fixture_write(path, "x", 1);
	/* Not a file. */
	fixture_chunk_path(&other, path);
	cr_assert_eq(mkdirat(fx.store->root_fd, path, 0700), 0);
	cr_assert_eq(sweep(&s, 1, NULL), 0);
	cr_expect_eq(nproposed, 1);
	cr_expect(is_proposed(&d, ".tmp_aZ09bY"));
	cr_expect_eq(s.old_temp, 1);
	cr_expect_eq(s.old_chunks + s.disk_chunks + s.pending_chunks, 0);
}

/* More than a queue of batches holds. */
Test(gc_sweep, many_in_one_folder)
{
	struct digest d = fixture_digest(1);
	const uint32_t n = 3 * GC_BATCH_NAMES + 7;
	struct gc_swept s;
	uint32_t i;

	for (i = 0; i < n; i++) {
		memcpy(&d.b[8], &i, sizeof(i));
		make(&d, "", 5, 1);
	}
	cr_assert_eq(sweep(&s, 1, NULL), 0);
	cr_expect_eq(s.old_chunks, n);
	cr_expect_eq(nproposed, 64);
}

Test(gc_sweep, sizes_from_some_folders)
{
	struct digest d;
	struct gc_swept s;
	uint32_t i;

	for (i = 0; i < 2560; i++) {
		d = fixture_digest(i);
		gc_filter_mark(&filter, &d);
		make(&d, "", 5, 100);
	}
	cr_assert_eq(sweep(&s, 16, NULL), 0);
	cr_expect_eq(s.disk_chunks, 2560);
	cr_expect(s.disk_bytes > 200000 && s.disk_bytes < 320000, "%llu",
	    (unsigned long long)s.disk_bytes);
}

Test(gc_sweep, folder_that_cannot_be_listed)
{
	struct gc_swept s;
	struct err e;

	fixture_write(".chunks/00ff", "x", 1);
	cr_assert_eq(sweep(&s, 1, &e), -1);
	cr_expect_str_eq(e.msg,
	    "cannot list chunk folder 00ff: Not a directory");
}

Test(gc_sweep, ends_when_stopped)
{
	struct gc_swept s;
	struct err e;

	stop = true;
	cr_assert_eq(sweep(&s, 1, &e), -1);
	cr_expect_eq(e.code, ERR_ABORTED);
}

Test(gc_sweep, ends_when_refused)
{
	struct digest d = fixture_digest(1);
	struct gc_swept s;
	struct err e;

	make(&d, "", 5, 1);
	refuse = true;
	cr_assert_eq(sweep(&s, 1, &e), -1);
	cr_expect_str_eq(e.msg, "refused");
}

/* A digest of the folder with this number. */
static struct digest
digest_in(unsigned int folder)
{
	struct digest d = {.b = {(uint8_t)(folder >> 8), (uint8_t)folder}};
	char prefix[8];

	snprintf(prefix, sizeof(prefix), "%04x", folder);
	cr_assert_eq(mkdirat(fx.store->chunks_fd, prefix, 0700), 0);
	return d;
}

/* Each sample is of other folders, and all of them together of all. */
Test(gc_sweep, sizes_from_other_folders)
{
	struct digest d;
	uint64_t sum = 0;
	struct gc_swept s;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		d = digest_in(16 * i + i);
		gc_filter_mark(&filter, &d);
		make(&d, "", 5, 10);
	}
	for (i = 0; i < 16; i++) {
		cr_assert_eq(sweep_from(&s, 16, i, NULL), 0);
		cr_expect_eq(s.disk_bytes, i < 8 ? 160 : 0);
		sum += s.disk_bytes;
	}
	cr_expect_eq(sum, 8 * 160);
}

Test(gc_sweep, estimate)
{
	struct digest d;
	struct err e;
	uint64_t none, n;
	uint32_t i;

	cr_assert_eq(gc_estimate_chunks(fx.store->chunks_fd, 0, &none, &e), 0);
	cr_expect(none < 100000);
	d = digest_in(7);
	for (i = 0; i < 1000; i++) {
		memcpy(&d.b[8], &i, sizeof(i));
		make(&d, "", 5, 1);
	}
	/* As if all folders that are looked at had 1000 / 64. */
	cr_assert_eq(gc_estimate_chunks(fx.store->chunks_fd, 7, &n, &e), 0);
	cr_expect(n > 1000 * 1024 && n < 1400 * 1024);
	/* Others do not have it. */
	for (i = 0; i < GC_ESTIMATE_STEP; i += 33) {
		cr_assert_eq(gc_estimate_chunks(fx.store->chunks_fd, i, &n, &e),
		    0);
		cr_expect_eq(n, none);
	}
}

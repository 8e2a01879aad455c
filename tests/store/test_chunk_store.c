/* Storing chunks: the table of chunk_store.h, missing ones, damaged ones, and
 * what may not be called missing. */
#include "config.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/atime.h"
#include "common/err.h"
#include "common/format/blob.h"
#include "common/io.h"
#include "tests/store/fixture.h"
#include "validator/store/chunk_store.h"
#include "validator/store/layout.h"

TestSuite(chunk_store, .init = fixture_init, .fini = fixture_fini);

static int
put(const struct digest *d, const void *data, size_t len, bool verified,
    struct chunk_put *out, struct err *e)
{
	*out = (struct chunk_put){.digest = *d,
	    .data = data,
	    .len = len,
	    .size = 100,
	    .verified = verified};
	return chunk_put(fx.store, out, e);
}

static void
must_put(const struct digest *d, const void *data, size_t len, bool verified,
    enum chunk_put_result want)
{
	struct chunk_put p;
	struct err e = {0};

	cr_assert_eq(put(d, data, len, verified, &p, &e), 0, "%s", e.msg);
	cr_expect_eq(p.result, want);
}

static void
must_hold(const struct digest *d, const void *data, size_t len)
{
	uint8_t buf[4096];
	uint64_t got;
	int fd = chunk_open(fx.store, d, &got, NULL);

	cr_assert_neq(fd, -1);
	cr_assert_eq(got, len);
	cr_assert_eq(io_pread_full(fd, buf, len, 0, NULL), 0);
	cr_expect_arr_eq(buf, data, len);
	close(fd);
}

/* Puts these bytes where the chunk is, whatever they are. */
static void
plant(const struct digest *d, const void *data, size_t len)
{
	char path[200];

	fixture_chunk_path(d, path);
	fixture_write(path, data, len);
}

Test(chunk_store, stores_a_new_chunk_with_its_mode_and_no_rest)
{
	struct digest d = fixture_digest(1);
	char path[200], dir[32];
	struct stat st;
	struct dirent *entry;
	size_t len, n = 0;
	uint8_t *b = fixture_plain("hello", &len);
	DIR *list;

	umask(077);
	must_put(&d, b, len, true, CHUNK_PUT_NEW);
	must_hold(&d, b, len);
	fixture_chunk_path(&d, path);
	cr_assert_eq(fstatat(fx.store->root_fd, path, &st, 0), 0);
	cr_expect_eq(st.st_mode & 07777, 0644);
	snprintf(dir, sizeof(dir), "%.12s", path);
	list = fdopendir(openat(fx.store->root_fd, dir, O_RDONLY));
	cr_assert_not_null(list);
	while ((entry = readdir(list)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(list);
	cr_expect_eq(n, 1, "a temporary file was left");
	free(b);
}

Test(chunk_store, keeps_a_duplicate_and_refreshes_its_time)
{
	struct digest d = fixture_digest(1);
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	struct chunk_put p;
	char path[200];
	struct stat st;
	size_t len;
	uint8_t *b = fixture_plain("hello", &len);

	must_put(&d, b, len, true, CHUNK_PUT_NEW);
	fixture_chunk_path(&d, path);
	cr_assert_eq(utimensat(fx.store->root_fd, path, old, 0), 0);
	cr_assert_eq(put(&d, b, len, true, &p, NULL), 0);
	cr_expect_eq(p.result, CHUNK_PUT_DUPLICATE);
	cr_expect_eq(p.stored_len, len);
	cr_assert_eq(fstatat(fx.store->root_fd, path, &st, 0), 0);
	cr_expect_gt(st.st_atim.tv_sec, 1000);
	cr_expect_eq(st.st_mtim.tv_sec, 2000);
	free(b);
}

Test(chunk_store, replaces_what_is_damaged)
{
	struct digest d = fixture_digest(1);
	size_t len, elen;
	uint8_t *b = fixture_plain("hello", &len);
	uint8_t *enc = fixture_encrypted(false, 50, 9, &elen);

	plant(&d, "", 0);
	must_put(&d, b, len, true, CHUNK_PUT_REPLACED);
	plant(&d, "short", 5);
	must_put(&d, b, len, true, CHUNK_PUT_REPLACED);
	plant(&d, "not a blob at all", 17);
	must_put(&d, b, len, true, CHUNK_PUT_REPLACED);
	/* Cut off: the checksum tells, so even an encrypted one may come. */
	plant(&d, b, len - 1);
	must_put(&d, enc, elen, false, CHUNK_PUT_REPLACED);
	must_hold(&d, enc, elen);
	/* The same of an encrypted one. */
	plant(&d, enc, elen - 10);
	must_put(&d, enc, elen, false, CHUNK_PUT_REPLACED);
	must_hold(&d, enc, elen);
	free(b);
	free(enc);
}

Test(chunk_store, never_lets_an_unverified_one_replace_a_plain_one)
{
	struct digest d = fixture_digest(1);
	struct chunk_put p;
	struct err e = {0};
	size_t len, elen;
	uint8_t *b = fixture_plain("some longer text, so that lengths may be "
				   "equal to those of an encrypted one",
	    &len);
	uint8_t *same =
	    fixture_encrypted(true, len - BLOB_ENCRYPTED_HEADER_LEN, 5, &elen);
	uint8_t *longer;

	must_put(&d, b, len, true, CHUNK_PUT_NEW);
	cr_assert_eq(elen, len);
	cr_assert_eq(put(&d, same, elen, false, &p, &e), -1);
	cr_expect_not_null(strstr(e.msg, "Overwriting unencrypted chunk '"));
	longer = fixture_encrypted(false, 2000, 5, &elen);
	cr_assert_eq(put(&d, longer, elen, false, &p, &e), -1);
	cr_expect_not_null(strstr(e.msg, "on store 'test'"));
	cr_expect_eq(e.code, ERR_EXISTS);
	must_hold(&d, b, len);
	free(b);
	free(same);
	free(longer);
}

Test(chunk_store, replaces_an_encrypted_one_by_a_verified_one)
{
	struct digest d = fixture_digest(1);
	size_t len, elen;
	uint8_t *b = fixture_plain("a text that is just as long as it has to "
				   "be, no more and no less",
	    &len);
	uint8_t *enc =
	    fixture_encrypted(true, len - BLOB_ENCRYPTED_HEADER_LEN, 5, &elen);

	must_put(&d, enc, elen, false, CHUNK_PUT_NEW);
	must_put(&d, b, len, true, CHUNK_PUT_REPLACED);
	must_hold(&d, b, len);
	free(b);
	free(enc);
}

Test(chunk_store, keeps_the_first_of_two_encrypted_ones)
{
	struct digest d = fixture_digest(1);
	struct chunk_put p;
	struct err e = {0};
	size_t a_len, b_len, c_len;
	uint8_t *a = fixture_encrypted(false, 100, 1, &a_len);
	uint8_t *b = fixture_encrypted(false, 100, 2, &b_len);
	uint8_t *c = fixture_encrypted(false, 101, 3, &c_len);
	uint8_t *z = fixture_encrypted(true, 50, 4, &b_len);

	must_put(&d, a, a_len, false, CHUNK_PUT_NEW);
	must_put(&d, b, a_len, false, CHUNK_PUT_DUPLICATE);
	must_put(&d, z, b_len, false, CHUNK_PUT_DUPLICATE);
	cr_assert_eq(put(&d, c, c_len, false, &p, &e), -1);
	cr_expect_not_null(
	    strstr(e.msg, "Overwriting existing (encrypted) chunk '"));
	must_hold(&d, a, a_len);
	free(a);
	free(b);
	free(c);
	free(z);
}

Test(chunk_store, keeps_the_shorter_of_two_plain_ones)
{
	struct digest d = fixture_digest(1);
	size_t s_len, l_len;
	uint8_t *s = fixture_plain("short", &s_len);
	uint8_t *l = fixture_plain("rather long", &l_len);

	must_put(&d, s, s_len, true, CHUNK_PUT_NEW);
	must_put(&d, l, l_len, true, CHUNK_PUT_DUPLICATE);
	must_hold(&d, s, s_len);
	plant(&d, l, l_len);
	must_put(&d, s, s_len, true, CHUNK_PUT_REPLACED);
	must_hold(&d, s, s_len);
	free(s);
	free(l);
}

Test(chunk_store, replaces_suspects)
{
	struct digest d = fixture_digest(1), n = fixture_digest(2);
	size_t len, elen;
	uint8_t *b = fixture_plain("hello", &len);
	uint8_t *enc = fixture_encrypted(true, 60, 8, &elen);
	uint8_t *bad = fixture_encrypted(true, 60, 8, &elen);

	must_put(&d, b, len, true, CHUNK_PUT_NEW);
	must_put(&n, enc, elen, false, CHUNK_PUT_NEW);
	fixture_reopen(false, true);
	cr_expect_eq(chunk_check(fx.store, 0, &d, NULL), CHUNK_SUSPECT);
	must_put(&d, b, len, true, CHUNK_PUT_REPLACED);
	/* Nobody can verify this one, but its checksum holds. */
	must_put(&n, enc, elen, false, CHUNK_PUT_DUPLICATE);
	bad[elen - 1] ^= 1;
	plant(&n, bad, elen);
	must_put(&n, enc, elen, false, CHUNK_PUT_REPLACED);
	free(b);
	free(enc);
	free(bad);
}

Test(chunk_store, says_missing_only_of_what_is_missing)
{
	struct digest gone = fixture_digest(1), dir = fixture_digest(2),
		      link = fixture_digest(3), empty = fixture_digest(4),
		      short_one = fixture_digest(5), fine = fixture_digest(6),
		      no_folder = {{0xfe, 0xed}};
	struct err e = {0};
	char path[200];
	uint64_t len;

	cr_expect_eq(chunk_check(fx.store, 0, &gone, &e), CHUNK_MISSING);
	cr_expect_eq(e.code, ERR_MISSING);
	cr_expect_eq(chunk_open(fx.store, &gone, &len, &e), -1);
	cr_expect_eq(e.code, ERR_MISSING);
	fixture_chunk_path(&dir, path);
	cr_assert_eq(mkdirat(fx.store->root_fd, path, 0700), 0);
	cr_expect_eq(chunk_check(fx.store, 0, &dir, &e), CHUNK_MISSING);
	fixture_chunk_path(&link, path);
	cr_assert_eq(symlinkat("/etc/passwd", fx.store->root_fd, path), 0);
	cr_expect_eq(chunk_check(fx.store, 0, &link, &e), CHUNK_MISSING);
	cr_expect_eq(chunk_open(fx.store, &link, &len, &e), -1);
	cr_expect_eq(e.code, ERR_MISSING);
	plant(&empty, "", 0);
	cr_expect_eq(chunk_check(fx.store, 0, &empty, &e), CHUNK_MISSING);
	plant(&short_one, "12345678901", 11);
	cr_expect_eq(chunk_check(fx.store, 0, &short_one, &e), CHUNK_MISSING);
	plant(&fine, "123456789012", 12);
	cr_expect_eq(chunk_check(fx.store, 0, &fine, &e), CHUNK_OK);

	cr_expect_eq(chunk_check(fx.store, 0, &no_folder, &e), CHUNK_ERROR);
	cr_expect_eq(e.code, ERR_IO);
	cr_expect_eq(chunk_open(fx.store, &no_folder, &len, &e), -1);
	cr_expect_eq(e.code, ERR_IO);
}

Test(chunk_store, does_not_call_a_lost_store_missing_chunks)
{
	struct digest d = fixture_digest(1);
	char other[100];
	struct err e = {0};

	/* The path leads elsewhere: as after umount. */
	snprintf(other, sizeof(other), "%s-away", fx.path);
	cr_assert_eq(rename(fx.path, other), 0);
	cr_expect_eq(chunk_check(fx.store, 0, &d, &e), CHUNK_ERROR);
	cr_expect_eq(e.code, ERR_IO);
	cr_assert_eq(mkdir(fx.path, 0755), 0);
	cr_expect_eq(chunk_check(fx.store, 0, &d, &e), CHUNK_ERROR);
	cr_expect_eq(e.code, ERR_IO);
}

Test(chunk_store, refuses_to_write_over_what_is_no_file)
{
	struct digest d = fixture_digest(1);
	struct chunk_put p;
	struct err e = {0};
	char path[200];
	size_t len;
	uint8_t *b = fixture_plain("hello", &len);

	fixture_chunk_path(&d, path);
	cr_assert_eq(symlinkat("/nonexistent", fx.store->root_fd, path), 0);
	cr_expect_eq(put(&d, b, len, true, &p, &e), -1);
	cr_expect_eq(e.code, ERR_IO);
	cr_expect_eq(put(&(struct digest){{0xfe, 0xed}}, b, len, true, &p, &e),
	    -1);
	free(b);
}

Test(chunk_store, leaves_nothing_when_a_write_fails)
{
	struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
	struct digest d = fixture_digest(1);
	struct chunk_put p;
	struct err e = {0};
	char path[200], dir[32];
	struct dirent *entry;
	size_t len, n = 0;
	uint8_t *enc = fixture_encrypted(false, 10000, 1, &len);
	DIR *list;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_expect_eq(put(&d, enc, len, false, &p, &e), -1);
	cr_expect_neq(e.code, ERR_MISSING);
	fixture_chunk_path(&d, path);
	snprintf(dir, sizeof(dir), "%.12s", path);
	list = fdopendir(openat(fx.store->root_fd, dir, O_RDONLY));
	while ((entry = readdir(list)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(list);
	cr_expect_eq(n, 0);
	cr_expect_eq(chunk_check(fx.store, 0, &d, &e), CHUNK_MISSING);
	free(enc);
}

Test(chunk_store, keeps_the_reserve_free)
{
	struct digest d = fixture_digest(1);
	struct chunk_put p;
	struct err e = {0};
	size_t len;
	uint8_t *b = fixture_plain("hello", &len);

	fx.store->reserve = UINT64_MAX / 2;
	cr_expect_eq(put(&d, b, len, true, &p, &e), -1);
	cr_expect_eq(e.code, ERR_NOSPACE);
	fx.store->reserve = 1;
	cr_expect_eq(put(&d, b, len, true, &p, &e), 0);
	free(b);
}

Test(chunk_store, numbers_the_bad_ones)
{
	struct digest d = fixture_digest(1);
	char path[200], bad[220];
	struct err e = {0};
	int i, n, fd;

	fixture_chunk_path(&d, path);
	for (i = 0; i < 12; i++) {
		plant(&d, "not a good chunk", 16);
		fd = openat(fx.store->root_fd, path, O_RDONLY);
		cr_assert_eq(chunk_rename_bad(fx.store, &d, fd, &n, &e), 0);
		close(fd);
		cr_expect_eq(n, i < 9 ? i : 9);
		snprintf(bad, sizeof(bad), "%s.%d.bad", path, n);
		cr_expect(fixture_exists(bad));
		cr_expect_not(fixture_exists(path));
	}
	fd = openat(fx.store->root_fd, bad, O_RDONLY);
	cr_assert_eq(chunk_rename_bad(fx.store, &d, fd, &n, &e), 0);
	cr_expect_eq(n, -1, "it is not there");
	plant(&d, "healed meanwhile", 16);
	cr_assert_eq(chunk_rename_bad(fx.store, &d, fd, &n, &e), 0);
	cr_expect_eq(n, -1, "it is another file");
	cr_expect(fixture_exists(path));
	close(fd);
}

struct racer {
	struct digest d;
	const uint8_t *data;
	size_t len;
	bool verified;
	int failed;
};

static void *
race(void *arg)
{
	struct racer *r = arg;
	struct chunk_put p;
	int i;

	for (i = 0; i < 200; i++)
		if (put(&r->d, r->data, r->len, r->verified, &p, NULL) == -1)
			r->failed++;
	return NULL;
}

Test(chunk_store, ends_with_the_verified_one_whoever_comes_last)
{
	struct digest d = fixture_digest(1);
	size_t len, elen;
	uint8_t *b = fixture_plain("hello", &len);
	uint8_t *enc = fixture_encrypted(true, 60, 8, &elen);
	struct racer good = {.d = d, .data = b, .len = len, .verified = true};
	struct racer evil = {.d = d, .data = enc, .len = elen};
	pthread_t t[2];

	cr_assert_eq(pthread_create(&t[0], NULL, race, &good), 0);
	cr_assert_eq(pthread_create(&t[1], NULL, race, &evil), 0);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	cr_expect_eq(good.failed, 0);
	must_hold(&d, b, len);
	free(b);
	free(enc);
}

/* --- garbage --- */

static struct chunk_removal
remove_old(const char *name)
{
	struct atime_cutoff cutoff = atime_cutoff_now(1000, 10);
	struct chunk_removal c;
	struct err e = {0};

	cr_assert_eq(chunk_remove_old(fx.store, name, &cutoff, &c, &e), 0, "%s",
	    e.msg);
	return c;
}

static void
make_with_times(const struct digest *d, const char *tail, time_t used,
    time_t written, char name[100])
{
	const struct timespec times[2] = {{.tv_sec = used},
	    {.tv_sec = written}};
	char path[200];

	fixture_chunk_path(d, path);
	strcat(path, tail);
	fixture_write(path, "0123456789", 10);
	cr_assert_eq(utimensat(fx.store->root_fd, path, times, 0), 0);
	snprintf(name, 100, "%s", strrchr(path, '/') + 1);
}

Test(chunk_store, old_files_are_removed)
{
	static const char *const tails[] = {"", ".0.bad", ".9.bad",
	    ".tmp_aB3dE6"};
	struct digest d = fixture_digest(1);
	char name[100], path[200];
	struct chunk_removal c;
	size_t i;

	for (i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		make_with_times(&d, tails[i], 999, 999, name);
		c = remove_old(name);
		cr_expect_eq(c.result, CHUNK_REMOVE_DONE);
		cr_expect_eq(c.size, 10);
		snprintf(path, sizeof(path), ".chunks/%.4s/%s", name, name);
		cr_expect_not(fixture_exists(path));
		cr_expect_eq(remove_old(name).result, CHUNK_REMOVE_NONE);
	}
}

Test(chunk_store, young_files_stay)
{
	struct digest d = fixture_digest(1);
	struct chunk_removal c;
	char name[100];

	make_with_times(&d, "", 1000, 5, name);
	c = remove_old(name);
	cr_expect_eq(c.result, CHUNK_REMOVE_YOUNG);
	cr_expect_eq(c.size, 10);
	cr_expect_eq(c.used, 1000);
	make_with_times(&d, "", 5, 1001, name);
	c = remove_old(name);
	cr_expect_eq(c.result, CHUNK_REMOVE_YOUNG);
	cr_expect_eq(c.used, 1001);
}

Test(chunk_store, what_cannot_be_looked_at_stays)
{
	struct atime_cutoff cutoff = atime_cutoff_now(1000, 10);
	struct digest d = fixture_digest(1);
	struct chunk_removal c;
	char path[200], *slash;
	struct err e = {0};

	fixture_chunk_path(&d, path);
	slash = strrchr(path, '/');
	*slash = '\0';
	cr_assert_eq(unlinkat(fx.store->root_fd, path, AT_REMOVEDIR), 0);
	fixture_write(path, "", 0);
	cr_expect_eq(chunk_remove_old(fx.store, slash + 1, &cutoff, &c, &e), 0);
	cr_expect_eq(c.result, CHUNK_REMOVE_UNSEEN);
	cr_expect_eq(e.sys, ENOTDIR);
	cr_expect(fixture_exists(path));
}

/* It may have been used after the clock was set back. */
Test(chunk_store, nothing_goes_once_the_clock_was_set_back)
{
	struct atime_cutoff cutoff = atime_cutoff_now(1000, 10);
	struct digest d = fixture_digest(1);
	struct chunk_removal c;
	char name[100], path[200];
	struct err e;

	make_with_times(&d, "", 5, 5, name);
	cutoff.clock_start += 20;
	cr_expect_eq(chunk_remove_old(fx.store, name, &cutoff, &c, &e), -1);
	cr_expect_eq(e.code, ERR_ABORTED);
	fixture_chunk_path(&d, path);
	cr_assert(fixture_exists(path));
	cutoff.clock_start -= 15;
	cr_expect_eq(chunk_remove_old(fx.store, name, &cutoff, &c, &e), 0,
	    "within what is allowed for");
	cr_expect_eq(c.result, CHUNK_REMOVE_DONE);
}

/* What gave it a new time comes before. */
Test(chunk_store, duplicate_upload_keeps_an_old_chunk)
{
	const struct timespec old[2] = {{.tv_sec = 5}, {.tv_sec = 5}};
	struct digest d = fixture_digest(1);
	char path[200];
	uint8_t *blob;
	size_t len;

	blob = fixture_plain("text", &len);
	must_put(&d, blob, len, true, CHUNK_PUT_NEW);
	fixture_chunk_path(&d, path);
	cr_assert_eq(utimensat(fx.store->root_fd, path, old, 0), 0);
	must_put(&d, blob, len, true, CHUNK_PUT_DUPLICATE);
	cr_expect_eq(remove_old(strrchr(path, '/') + 1).result,
	    CHUNK_REMOVE_YOUNG);
	must_hold(&d, blob, len);
	free(blob);
}

Test(chunk_store, nothing_else_is_removed)
{
	static const char *const names[] = {"", ".", "..", "0000", ".lock",
	    "../.lock",
	    "0000/0000000000000000000000000000000000000000000000000000000000",
	    "000000000000000000000000000000000000000000000000000000000000000/",
	    "0000000000000000000000000000000000000000000000000000000000000000/"
	    "x",
	    "000000000000000000000000000000000000000000000000000000000000000A",
	    "0000000000000000000000000000000000000000000000000000000000000000."
	    "tmp_../..x"};
	struct atime_cutoff cutoff = atime_cutoff_now(INT64_MAX, 10);
	struct chunk_removal c;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cr_expect_eq(chunk_remove_old(fx.store, names[i], &cutoff, &c,
				 &e),
		    -1, "%s", names[i]);
		cr_expect_eq(e.code, ERR_INVALID);
	}
	cr_expect(fixture_exists(".lock"));
}

Test(chunk_store, folder_with_a_chunks_name_is_not_removed)
{
	struct digest d = fixture_digest(1);
	char path[200];

	fixture_chunk_path(&d, path);
	cr_assert_eq(mkdirat(fx.store->root_fd, path, 0700), 0);
	cr_expect_eq(remove_old(strrchr(path, '/') + 1).result,
	    CHUNK_REMOVE_NONE);
	cr_expect(fixture_exists(path));
}

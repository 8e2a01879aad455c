/* Bits in memory and in a file that outlives its process. */
#include "config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/bitmap.h"

TestSuite(bitmap, .init = fixture_init, .fini = fixture_fini);

Test(bitmap, sets_and_clears_single_bits)
{
	static const uint64_t some[] = {0, 1, 63, 64, 65, 127, 128, 199};
	struct bitmap b;
	size_t i;

	cr_assert_eq(bitmap_init(&b, 200, NULL), 0);
	cr_assert_eq(bitmap_count(&b), 0);
	for (i = 0; i < 8; i++) {
		cr_expect_not(bitmap_get(&b, some[i]));
		bitmap_set(&b, some[i]);
		cr_expect(bitmap_get(&b, some[i]));
	}
	cr_expect_eq(bitmap_count(&b), 8);
	bitmap_clear(&b, 64);
	cr_expect_not(bitmap_get(&b, 64));
	cr_expect(bitmap_get(&b, 63));
	cr_expect(bitmap_get(&b, 65));
	cr_expect_eq(bitmap_count(&b), 7);
	bitmap_fini(&b);
}

Test(bitmap, walks_what_is_in_one_and_not_in_the_other)
{
	struct bitmap a, b;
	uint64_t i, n = 0;

	cr_assert_eq(bitmap_init(&a, 1000, NULL), 0);
	cr_assert_eq(bitmap_init(&b, 1000, NULL), 0);
	for (i = 0; i < 1000; i += 3)
		bitmap_set(&a, i);
	for (i = 0; i < 1000; i += 2)
		bitmap_set(&b, i);
	cr_assert_eq(bitmap_words(&b), 16);
	for (i = 0; i < 1024; i++) {
		if ((bitmap_word_and_not(&a, &b, i / 64) >> i % 64 & 1) == 0)
			continue;
		cr_expect(i % 3 == 0 && i % 2 == 1, "%ju", (uintmax_t)i);
		n++;
	}
	cr_expect_eq(n, 167);
	cr_expect_eq(bitmap_count_and_not(&a, &b), 167);
	cr_expect_eq(bitmap_word_and_not(NULL, &b, 0), 0xaaaaaaaaaaaaaaaau);
	/* 40 bits are left in the last word. */
	cr_expect_eq(bitmap_word_and_not(NULL, &b, 15), 0xaaaaaaaaaau);
	bitmap_set_word(&b, 15, 0x8000000000u);
	cr_expect(bitmap_get(&b, 999));
	bitmap_set_word(&b, 15, 1);
	cr_expect(bitmap_get(&b, 960));
	cr_expect_eq(bitmap_word_and_not(NULL, &b, 15), 0x2aaaaaaaaau);
	bitmap_fini(&a);
	bitmap_fini(&b);
}

Test(bitmap, survives_a_killed_process)
{
	struct bitmap b;
	int status;
	pid_t pid;

	pid = fork();
	cr_assert_neq(pid, -1);
	if (pid == 0) {
		if (bitmap_open(&b, fx.state_fd, "bits", 130, NULL) == 0) {
			bitmap_set(&b, 129);
			bitmap_set(&b, 3);
		}
		kill(getpid(), SIGKILL);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(bitmap_open(&b, fx.state_fd, "bits", 130, NULL), 0);
	cr_expect(bitmap_get(&b, 129) && bitmap_get(&b, 3));
	cr_expect_eq(bitmap_count(&b), 2);
	bitmap_fini(&b);
}

Test(bitmap, refuses_another_size)
{
	struct bitmap b;
	struct err e = {0};

	cr_assert_eq(bitmap_open(&b, fx.state_fd, "bits", 64, NULL), 0);
	bitmap_fini(&b);
	cr_assert_eq(bitmap_open(&b, fx.state_fd, "bits", 65, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_null(b.words);
}

Test(bitmap, tells_when_the_file_system_is_full)
{
	struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
	struct bitmap b;
	struct err e = {0};

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(bitmap_open(&b, fx.state_fd, "bits", 1 << 20, &e), -1);
	cr_expect_neq(e.code, ERR_OK);
	cr_expect_null(b.words);
}

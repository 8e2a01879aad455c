/* The log of uploads: entries by number, holes, the end. */
#include "config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/deposit_log.h"

TestSuite(deposit_log, .init = fixture_init, .fini = fixture_fini);

Test(deposit_log, keeps_entries_by_number)
{
	struct digest d = fixture_digest(7), got;
	uint64_t count;
	uint32_t size;
	int fd = deposit_log_open(fx.state_fd, NULL);

	cr_assert_neq(fd, -1);
	cr_assert_eq(deposit_log_count(fd, &count, NULL), 0);
	cr_expect_eq(count, 0);
	cr_assert_eq(deposit_log_put(fd, 5, &d, 4096, NULL), 0);
	cr_assert_eq(deposit_log_count(fd, &count, NULL), 0);
	cr_expect_eq(count, 6);
	cr_assert_eq(deposit_log_get(fd, 5, &got, &size, NULL), 0);
	cr_expect(digest_equal(&got, &d));
	cr_expect_eq(size, 4096);
	close(fd);
	/* As a validator that was started again sees it. */
	fd = deposit_log_open(fx.state_fd, NULL);
	cr_assert_eq(deposit_log_get(fd, 5, &got, &size, NULL), 0);
	cr_expect(digest_equal(&got, &d));
	close(fd);
}

Test(deposit_log, has_no_entry_in_a_hole_or_past_the_end)
{
	struct digest d = fixture_digest(1), got;
	struct err e = {0};
	uint32_t size;
	int fd = deposit_log_open(fx.state_fd, NULL);

	cr_assert_eq(deposit_log_put(fd, 2, &d, 1, NULL), 0);
	cr_expect_eq(deposit_log_get(fd, 0, &got, &size, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_expect_eq(deposit_log_get(fd, 3, &got, &size, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	cr_expect_eq(deposit_log_get(fd, UINT32_MAX, &got, &size, &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
	/* Cut off in the middle. */
	cr_assert_eq(ftruncate(fd, 2 * DEPOSIT_ENTRY_LEN + 10), 0);
	cr_expect_eq(deposit_log_get(fd, 2, &got, &size, &e), -1);
	close(fd);
}

Test(deposit_log, lies_at_the_documented_place)
{
	struct digest d = fixture_digest(3);
	uint8_t raw[DEPOSIT_ENTRY_LEN];
	int fd = deposit_log_open(fx.state_fd, NULL);

	cr_assert_eq(deposit_log_put(fd, 1, &d, 0x01020304, NULL), 0);
	cr_assert_eq(pread(fd, raw, sizeof(raw), 36), 36);
	cr_expect_arr_eq(raw, d.b, DIGEST_LEN);
	cr_expect_arr_eq(&raw[32], ((uint8_t[]){4, 3, 2, 1}), 4);
	close(fd);
}

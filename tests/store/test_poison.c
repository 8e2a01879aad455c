/* What is remembered of a store over the end of the validator and of the
 * machine. */
#include "config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "tests/store/fixture.h"
#include "validator/store/chunk_store.h"
#include "validator/store/layout.h"
#include "validator/store/poison.h"

TestSuite(poison, .init = fixture_init, .fini = fixture_fini);

static struct store_state_info
info(void)
{
	struct store_state_info i;

	store_state_get(fx.store->state, &i);
	return i;
}

/* fsync of a pipe fails with EINVAL: as good as a broken disk. */
static int
failing_sync(struct err *e)
{
	int fds[2], rv;

	cr_assert_eq(pipe(fds), 0);
	rv = store_fsync(fx.store, fds[0], "test", e);
	close(fds[0]);
	close(fds[1]);
	return rv;
}

Test(poison, a_new_store_has_no_suspects)
{
	int64_t now = io_realtime_s();

	cr_expect_not(info().poisoned);
	cr_expect_not(store_state_is_suspect(fx.store->state, now));
	cr_expect_not(store_state_is_suspect(fx.store->state, 1));
}

Test(poison, a_clean_end_leaves_no_suspects)
{
	int64_t now = io_realtime_s();

	fixture_reopen(true, true);
	cr_expect(info().was_clean);
	cr_expect_not(store_state_is_suspect(fx.store->state, now));
}

Test(poison, an_end_of_the_validator_alone_leaves_no_suspects)
{
	fixture_reopen(false, false);
	cr_expect_not(info().was_clean);
	cr_expect_not(store_state_is_suspect(fx.store->state, io_realtime_s()));
}

Test(poison, a_power_cut_makes_suspect_what_was_not_synced)
{
	int64_t now = io_realtime_s();
	struct store_state_info i;

	fixture_reopen(false, true);
	i = info();
	cr_expect(store_state_is_suspect(fx.store->state, now));
	cr_expect_not(store_state_is_suspect(fx.store->state,
	    i.last_sync - STORE_SUSPECT_MARGIN_S - 1));
	cr_expect_not(store_state_is_suspect(fx.store->state,
	    now + 10 * STORE_SUSPECT_MARGIN_S));
	/* A clean run in between does not make them whole. */
	fixture_reopen(true, false);
	cr_expect(store_state_is_suspect(fx.store->state, now));
}

Test(poison, a_failed_sync_refuses_writes_until_cleared)
{
	struct err e = {0};
	int64_t now = io_realtime_s();

	cr_assert_eq(failing_sync(&e), -1);
	cr_expect_eq(e.code, ERR_POISONED);
	cr_expect_eq(store_sync(fx.store, &e), -1);
	cr_expect_eq(e.code, ERR_POISONED);
	cr_expect_eq(store_check_writable(fx.store, &e), -1);

	fixture_reopen(false, false);
	cr_expect(info().poisoned);
	cr_expect_gt(strlen(info().reason), 0);
	cr_expect_eq(store_check_writable(fx.store, &e), -1);

	cr_assert_eq(store_state_clear(fx.store->state, &e), 0, "%s", e.msg);
	cr_expect_eq(store_check_writable(fx.store, &e), 0);
	cr_expect_eq(store_sync(fx.store, &e), 0);
	/* What the failed sync lost is not known. */
	cr_expect(store_state_is_suspect(fx.store->state, now));
}

Test(poison, a_poisoned_store_does_not_end_cleanly)
{
	struct err e = {0};

	cr_assert_eq(failing_sync(&e), -1);
	store_close(&fx.store, true);
	fixture_reopen(false, false);
	cr_expect(info().poisoned);
}

Test(poison, a_damaged_record_is_not_trusted)
{
	int fd;

	store_close(&fx.store, true);
	fd = openat(fx.state_fd, "test.store", O_WRONLY | O_TRUNC);
	cr_assert_eq(write(fd, "rubbish", 7), 7);
	close(fd);
	fixture_reopen(false, false);
	cr_expect_not(info().was_clean);
	cr_expect(store_state_is_suspect(fx.store->state, io_realtime_s()));
	cr_expect(store_state_is_suspect(fx.store->state, 1000));
}

Test(poison, a_record_can_be_removed)
{
	struct err e = {0};

	store_close(&fx.store, true);
	cr_expect_eq(store_state_remove(fx.state_fd, "test", &e), 0);
	cr_expect_eq(store_state_remove(fx.state_fd, "test", &e), -1);
	cr_expect_eq(e.code, ERR_NOT_FOUND);
}

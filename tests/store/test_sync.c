/* Durability of a store: tickets, and what a failed sync does. */
#include "config.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "tests/store/fixture.h"
#include "validator/store/layout.h"
#include "validator/store/poison.h"

TestSuite(sync, .init = fixture_init, .fini = fixture_fini, .timeout = 60);

Test(sync, serves_all_that_wait)
{
	uint64_t a = store_sync_ticket(fx.store), b;

	b = store_sync_ticket(fx.store);
	cr_expect_lt(a, b);
	cr_assert_eq(store_sync_wait(fx.store, b, NULL), 0);
	/* Both tickets were taken before it began. */
	cr_expect_gt(fx.store->sync_served, b);
	cr_assert_eq(store_sync_wait(fx.store, a, NULL), 0);
	cr_expect_eq(fx.store->sync_served, b + 1);
	cr_assert_eq(store_sync(fx.store, NULL), 0);
	cr_expect_eq(fx.store->sync_served, b + 2);
}

static void *
sync_often(void *arg)
{
	uint64_t ticket;
	int i;

	(void)arg;
	for (i = 0; i < 20; i++) {
		ticket = store_sync_ticket(fx.store);
		cr_assert_eq(store_sync_wait(fx.store, ticket, NULL), 0);
		cr_assert_gt(fx.store->sync_served, ticket);
	}
	return NULL;
}

Test(sync, may_be_asked_for_by_many)
{
	pthread_t t[4];
	int i;

	for (i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, sync_often, NULL), 0);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	cr_expect_eq(fx.store->sync_served, 80);
}

Test(sync, remembers_when_the_last_one_began)
{
	int64_t before = io_realtime_s();
	struct store_state_info info;

	cr_assert_eq(store_sync(fx.store, NULL), 0);
	store_state_get(fx.store->state, &info);
	cr_expect_geq(info.last_sync, before);
	cr_expect_leq(info.last_sync, io_realtime_s());
}

Test(sync, that_fails_poisons)
{
	struct err e = {0};
	int fd = fx.store->root_fd;

	/* A descriptor that takes no syncfs. */
	fx.store->root_fd = -1;
	cr_expect_eq(store_sync(fx.store, &e), -1);
	cr_expect_eq(e.code, ERR_POISONED);
	fx.store->root_fd = fd;
	cr_expect_eq(store_sync(fx.store, &e), -1, "it is told for ever");
	cr_expect_eq(e.code, ERR_POISONED);
	cr_expect(store_state_is_poisoned(fx.store->state));
}

Test(sync, of_one_file_writes_it_whole_with_its_mode)
{
	struct err e = {0};
	struct stat st;
	int root = fx.store->root_fd;

	umask(077);
	cr_assert_eq(store_write_file(fx.store, root, "f", "abc", 3, IO_F_FSYNC,
			 &e),
	    0, "%s", e.msg);
	cr_assert_eq(fstatat(root, "f", &st, 0), 0);
	cr_expect_eq(st.st_mode & 07777, 0644);
	cr_expect_eq(st.st_size, 3);
	cr_expect_eq(store_write_file(fx.store, root, "f", "d", 1,
			 IO_F_FSYNC | IO_F_NOREPLACE, &e),
	    -1);
	cr_expect_eq(e.code, ERR_EXISTS);
	/* An ordinary failure poisons nothing. */
	cr_expect_eq(store_write_file(fx.store, -1, "f", "d", 1, IO_F_FSYNC,
			 &e),
	    -1);
	cr_expect_not(store_state_is_poisoned(fx.store->state));
	store_state_poison(fx.store->state, "test", NULL);
	cr_expect_eq(store_write_file(fx.store, root, "g", "d", 1, 0, &e), -1);
	cr_expect_eq(e.code, ERR_POISONED);
	cr_expect_not(fixture_exists("g"));
}

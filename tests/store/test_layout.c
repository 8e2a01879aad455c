/* Opening and losing a datastore. */
#include "config.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/layout.h"

TestSuite(layout, .init = fixture_init, .fini = fixture_fini);

static char path[128];

static const char *
place(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", fx.dir, name);
	return path;
}

static mode_t
mode_of(const char *name)
{
	struct stat st;
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", path, name);
	cr_assert_eq(lstat(full, &st), 0, "%s", full);
	return st.st_mode & 07777;
}

Test(layout, makes_folders_of_its_own)
{
	place("store");
	cr_expect_eq(mode_of(".holdfast"), 0700);
	cr_expect_eq(mode_of(".holdfast/sessions"), 0700);
}

Test(layout, opens_only_a_datastore)
{
	struct store_opts o = {.name = "none", .state_fd = fx.state_fd};
	struct store *s;
	struct err e = {0};

	cr_assert_eq(mkdir(place("empty"), 0755), 0);
	o.path = path;
	cr_expect_eq(store_open(&s, &o, &e), -1);
	cr_expect_null(s);
	cr_expect_not_null(strstr(e.msg, "is not a datastore"));
	/* .chunks may not lead elsewhere. */
	cr_assert_eq(symlink(fx.path, place("empty/.chunks")), 0);
	o.path = place("empty");
	cr_expect_eq(store_open(&s, &o, &e), -1);
	o.path = place("nowhere");
	cr_expect_eq(store_open(&s, &o, &e), -1);
}

Test(layout, is_locked_against_a_second_validator)
{
	struct store_opts o = {.name = "test",
	    .path = fx.path,
	    .state_fd = fx.state_fd};
	struct store *s;
	struct err e = {0};

	cr_expect_eq(store_open(&s, &o, &e), -1);
	cr_expect_eq(e.code, ERR_LOCKED);
	fixture_reopen(true, false);
}

/* As the original server locks it (datastore-format 6.1). */
static int
posix_lock(short type)
{
	struct flock fl = {.l_type = type, .l_whence = SEEK_SET};
	char lock[128];
	int fd;

	snprintf(lock, sizeof(lock), "%s/.lock", fx.path);
	fd = open(lock, O_RDWR);
	return fd != -1 && fcntl(fd, F_SETLK, &fl) == 0 ? 0 : -1;
}

Test(layout, keeps_the_original_server_out)
{
	int status;
	pid_t pid = fork();

	cr_assert_neq(pid, -1);
	if (pid == 0)
		_exit(posix_lock(F_RDLCK) == -1 && posix_lock(F_WRLCK) == -1
			? 0
			: 1);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
}

Test(layout, stays_out_while_the_original_server_runs)
{
	struct store_opts o = {.name = "test",
	    .path = fx.path,
	    .state_fd = fx.state_fd};
	int ready[2], stop[2], status;
	struct err e = {0};
	char c = 0;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	cr_assert_eq(pipe(stop), 0);
	store_close(&fx.store, true);
	pid = fork();
	cr_assert_neq(pid, -1);
	if (pid == 0) {
		close(stop[1]);
		c = posix_lock(F_RDLCK) == 0 ? 'y' : 'n';
		if (write(ready[1], &c, 1) == 1 && read(stop[0], &c, 1) == 0)
			_exit(0);
		_exit(1);
	}
	cr_assert_eq(read(ready[0], &c, 1), 1);
	cr_assert_eq(c, 'y');
	cr_expect_eq(store_open(&fx.store, &o, &e), -1);
	cr_expect_eq(e.code, ERR_LOCKED);
	close(stop[1]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	cr_expect_eq(store_open(&fx.store, &o, &e), 0, "%s", e.msg);
}

Test(layout, notices_that_it_is_not_mounted)
{
	struct err e = {0};
	char away[100];

	cr_expect_eq(store_check_mounted(fx.store, &e), 0);
	snprintf(away, sizeof(away), "%s-away", fx.path);
	cr_assert_eq(rename(fx.path, away), 0);
	cr_expect_eq(store_check_mounted(fx.store, &e), -1);
	cr_expect_eq(e.code, ERR_IO);
	cr_assert_eq(mkdir(fx.path, 0755), 0);
	cr_expect_eq(store_check_mounted(fx.store, &e), -1);
	cr_expect_eq(e.code, ERR_IO);
}

Test(layout, knows_its_usage)
{
	struct store_usage u;

	cr_assert_eq(store_get_usage(fx.store, &u, NULL), 0);
	cr_expect_gt(u.total, 0);
	cr_expect_geq(u.total, u.used);
	cr_expect_geq(u.total, u.avail);
}

/*
 * The progress bar: nothing without a terminal, a line on one.
 */
#include "config.h"

#include <pty.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "client/progress.h"

Test(progress, times)
{
	char buf[PROGRESS_TIME_MAX];

	cr_assert_str_eq(progress_time_str(buf, 0), "0:00");
	cr_assert_str_eq(progress_time_str(buf, 65), "1:05");
	cr_assert_str_eq(progress_time_str(buf, 7389), "2:03:09");
}

Test(progress, silent_without_a_terminal)
{
	struct progress p;
	int fds[2];
	char c;

	cr_assert_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	progress_start(&p, "x", 100, 1);
	progress_update(&p, 50, NULL);
	progress_end(&p, 100, "done");
	close(STDERR_FILENO);
	cr_assert_eq(read(fds[0], &c, 1), 0);
}

Test(progress, draws_on_a_terminal)
{
	struct progress p;
	int master, slave;
	char buf[512];
	ssize_t n;

	cr_assert_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	dup2(slave, STDERR_FILENO);
	progress_start(&p, "disk.img", 0, 1);
	progress_end(&p, 1, "done");
	n = read(master, buf, sizeof(buf) - 1);
	cr_assert_gt(n, 0);
	buf[n] = '\0';
	cr_assert_not_null(strstr(buf, "disk.img ["));
	cr_assert_not_null(strstr(buf, "100%"));
	cr_assert_not_null(strstr(buf, "done"));
}

Test(progress, can_be_switched_off)
{
	struct progress p;

	progress_start(&p, "x", 100, 0);
	cr_assert_not(p.enabled);
}

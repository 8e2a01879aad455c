/* The mapped page of a session: what a SIGKILL may not take. */
#include "config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/store/fixture.h"
#include "validator/store/bitmap.h"
#include "validator/store/session_page.h"

TestSuite(session_page, .init = fixture_init, .fini = fixture_fini);

Test(session_page, survives_a_killed_process)
{
	struct bitmap checked, referenced;
	struct session_page *page;
	int fd, status;
	pid_t pid = fork();

	cr_assert_neq(pid, -1);
	if (pid == 0) {
		fd = session_run_dir_open(fx.state_fd, 77, NULL);
		if (session_page_open(&page, fd, NULL) == 0 &&
		    session_bitmaps_open(&checked, &referenced, fd, 3, 1000,
			NULL) == 0) {
			page->deposits = 12;
			page->writers[IPC_WRITERS_MAX - 1].index.end = 99;
			bitmap_set(&checked, 999);
		}
		kill(getpid(), SIGKILL);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	fd = session_run_dir_open(fx.state_fd, 77, NULL);
	cr_assert_neq(fd, -1);
	cr_assert_eq(session_page_open(&page, fd, NULL), 0);
	cr_expect_eq(page->deposits, 12);
	cr_expect_eq(page->writers[IPC_WRITERS_MAX - 1].index.end, 99);
	cr_assert_eq(session_bitmaps_open(&checked, &referenced, fd, 3, 1000,
			 NULL),
	    0);
	cr_expect(bitmap_get(&checked, 999));
	cr_expect_eq(bitmap_count(&referenced), 0);
	bitmap_fini(&checked);
	bitmap_fini(&referenced);
	session_page_close(&page);
	cr_expect_null(page);
	close(fd);
	cr_expect_eq(session_run_dir_remove(fx.state_fd, 77, NULL), 0);
	cr_expect_eq(session_run_dir_remove(fx.state_fd, 77, NULL), 0);
	cr_expect_neq(faccessat(fx.state_fd, "000000000000004d", F_OK, 0), 0);
}

Test(session_page, refuses_another_layout)
{
	struct session_page *page;
	struct err e = {0};
	int fd = session_run_dir_open(fx.state_fd, 1, NULL), file;

	cr_assert_eq(session_page_open(&page, fd, NULL), 0);
	cr_expect_eq(page->magic, SESSION_PAGE_MAGIC);
	page->version = SESSION_PAGE_VERSION + 1;
	session_page_close(&page);
	cr_expect_eq(session_page_open(&page, fd, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	cr_expect_null(page);
	file = openat(fd, "page", O_WRONLY | O_TRUNC);
	cr_assert_eq(write(file, "x", 1), 1);
	close(file);
	cr_expect_eq(session_page_open(&page, fd, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	close(fd);
}

Test(session_page, tells_when_the_file_system_is_full)
{
	struct rlimit limit = {.rlim_cur = 512, .rlim_max = 512};
	struct session_page *page;
	struct err e = {0};
	int fd = session_run_dir_open(fx.state_fd, 1, NULL);

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_expect_eq(session_page_open(&page, fd, &e), -1);
	cr_expect_null(page);
	cr_expect_neq(e.code, ERR_OK);
	close(fd);
}

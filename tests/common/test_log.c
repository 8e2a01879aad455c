#include "config.h"

#include "common/log.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/log_journal.h"
#include "common/log_socket.h"
#include "common/proc.h"

static int out;

/* From here on stderr is a pipe that log_text() reads. */
static void
capture(void)
{
	int fds[2];

	unsetenv("JOURNAL_STREAM");
	cr_assert(pipe(fds) == 0);
	cr_assert(dup2(fds[1], STDERR_FILENO) == STDERR_FILENO);
	close(fds[1]);
	cr_assert(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
	out = fds[0];
}

/* What was logged since, without the time that stands before program. */
static const char *
log_text(const char *program)
{
	static char buf[8192];
	ssize_t n = read(out, buf, sizeof(buf) - 1);
	char *p;

	buf[n > 0 ? n : 0] = '\0';
	p = strstr(buf, program);
	return p != NULL ? p : buf;
}

Test(log, line, .init = capture)
{
	char want[128];

	log_init("prog", LOG_F_STDERR);
	log_set_prefix("user=%s", "a");
	log_info("sub", "started n=%d", 3);
	snprintf(want, sizeof(want), "prog[%d] sub: user=a: started n=3\n",
	    (int)getpid());
	cr_assert_str_eq(log_text("prog"), want);
	log_set_prefix(NULL);
	log_warn("sub", "x");
	cr_assert(strstr(log_text("prog"), "sub: x\n") != NULL);
}

Test(log, reasons, .init = capture)
{
	struct err e;

	log_init("prog", LOG_F_STDERR);
	err_set(&e, ERR_INVALID, "bad thing");
	log_err_e("sub", &e, "cannot %s", "go");
	cr_assert(
	    strstr(log_text("prog"), "sub: cannot go: bad thing\n") != NULL);
	errno = ENOENT;
	log_warn_sys("sub", "open");
	cr_assert(errno == ENOENT, "errno is kept");
	cr_assert(strstr(log_text("prog"),
		      "sub: open: No such file or directory\n") != NULL);
}

Test(log, debug_only_when_asked, .init = capture)
{
	log_init("prog", LOG_F_STDERR);
	log_debug("sub", "hidden");
	cr_assert_str_eq(log_text("prog"), "");
	log_set_debug(1);
	cr_assert(log_debug_on());
	log_debug("sub", "shown");
	cr_assert(strstr(log_text("prog"), "shown") != NULL);
}

Test(log, one_line_whatever_the_text, .init = capture)
{
	const char *text;
	char big[5000];

	log_init("prog", LOG_F_STDERR);
	log_info("sub", "a\nforged line\x1b[1m");
	text = log_text("prog");
	cr_assert(strchr(text, '\n') == text + strlen(text) - 1);
	cr_assert(strstr(text, "a?forged line?[1m") != NULL);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_info("sub", "%s", big);
	text = log_text("prog");
	cr_assert(strlen(text) > 1000 && strlen(text) < 4096);
	cr_assert(strchr(text, '\n') == text + strlen(text) - 1);
}

Test(log, journal_gets_priorities_and_children_inherit, .init = capture)
{
	setenv("JOURNAL_STREAM", "1:2", 1);
	log_init("prog", LOG_F_DEBUG);
	log_err("sub", "x");
	cr_assert_str_eq(log_text("<"), "<3>sub: x\n");
	unsetenv("JOURNAL_STREAM");
	log_init("child", LOG_F_INHERIT);
	cr_assert(log_debug_on());
	log_info("sub", "y");
	cr_assert_str_eq(log_text("<"), "<6>sub: y\n");
}

/* From the first line on the C library has no need to read it, which takes
 * memory under a lock that a line about missing memory would wait for. */
Test(log, reads_the_time_zone_at_once)
{
	time_t t = 0;
	struct tm tm;

	setenv("TZ", "AAA-5", 1);
	log_init("prog", LOG_F_STDERR);
	setenv("TZ", "BBB+3", 1);
	log_local_time(t, &tm);
	cr_expect_eq(tm.tm_hour, 5);
	localtime_r(&t, &tm);
	cr_expect_eq(tm.tm_hour, 5);
}

Test(log, fatal_ends, .exit_code = PROC_EXIT_FATAL)
{
	log_init("prog", LOG_F_STDERR);
	fatal("sub", "broken");
}

Test(log, fatal_e_ends, .exit_code = PROC_EXIT_FATAL)
{
	struct err e;

	err_set(&e, ERR_INTERNAL, "why");
	fatal_e("sub", &e, "broken");
}

Test(log, fatal_sys_ends, .exit_code = PROC_EXIT_FATAL)
{
	fatal_sys("sub", "broken");
}

/* --- the journal --- */

static int journal; /* its end of the socket */
static char journal_path[64];

static void
listen_at_journal_path(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", journal_path);
	unlink(sa.sun_path);
	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	cr_assert(bind(journal, (struct sockaddr *)&sa, sizeof(sa)) == 0);
}

static int
fake_journal(void)
{
	char dir[] = "/tmp/test-log.XXXXXX";

	cr_assert(mkdtemp(dir) != NULL);
	snprintf(journal_path, sizeof(journal_path), "%s/socket", dir);
	listen_at_journal_path();
	return log_socket_open(journal_path);
}

static void
remove_journal(void)
{
	unlink(journal_path);
	*strrchr(journal_path, '/') = '\0';
	rmdir(journal_path);
}

__attribute__((format(printf, 3, 4))) static int
send_line(int fd, const char *text, const char *fmt, ...)
{
	va_list ap;
	int rv;

	va_start(ap, fmt);
	rv = log_journal_send(fd, "prog", 6, text, 5, fmt, ap);
	va_end(ap);
	return rv;
}

static const char *
received(void)
{
	static char buf[16384];
	ssize_t n = recv(journal, buf, sizeof(buf) - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

Test(log, journal_fields)
{
	int fd = fake_journal();

	cr_assert(fd != -1);
	cr_assert(send_line(fd, "sub: done id=07 store=a b user=x",
		      "done id=%02d store=%s user=%s", 7, "a b", "x") == 0);
	cr_assert_str_eq(received(),
	    "PRIORITY=6\nSYSLOG_IDENTIFIER=prog\n"
	    "MESSAGE=sub: done id=07 store=a b user=x\n"
	    "HOLDFAST_SESSION=07\nHOLDFAST_TENANT=x\n"
	    "HOLDFAST_STORE=a b\n");
	close(fd);
	remove_journal();
}

Test(log, journal_fields_are_not_made_by_values)
{
	int fd = fake_journal();

	cr_assert(send_line(fd, "sub: bad store=evil store=good",
		      "bad %s store=%s", "store=evil", "good") == 0);
	cr_assert(strstr(received(), "HOLDFAST_STORE=good\n") != NULL);
	cr_assert(
	    send_line(fd, "sub: bad store=evil", "bad %s", "store=evil") == 0);
	cr_assert(strstr(received(), "HOLDFAST_") == NULL);
	close(fd);
	remove_journal();
}

Test(log, journal_fields_of_the_process)
{
	char lng[4096];
	int fd = fake_journal();

	log_journal_field("HOLDFAST_PEER", "::1");
	log_journal_field("HOLDFAST_TENANT", "a@pbs");
	log_journal_field("HOLDFAST_TENANT", "");
	cr_assert(send_line(fd, "sub: x", "x") == 0);
	cr_assert(strstr(received(), "\nHOLDFAST_PEER=::1\n") != NULL);
	memset(lng, 'x', sizeof(lng) - 1);
	lng[sizeof(lng) - 1] = '\0';
	/* Cut by log.c: then there is no field, and nothing is read behind. */
	cr_assert(send_line(fd, "sub: xxx", "%s id=%d", lng, 1) == 0);
	cr_assert(strstr(received(), "SESSION") == NULL);
	close(fd);
	close(journal);
	cr_assert_eq(log_socket_open("/nonexistent"), -1);
	remove_journal();
}

/* --- syslog --- */

Test(log, syslog_gets_lines_and_its_successor_too)
{
	int fd = fake_journal();
	char want[128];
	const char *line;

	cr_assert_eq(log_syslog_send(fd, journal_path, "prog", 4, "sub: x"), 0);
	line = received();
	/* "<28>Nov  3 10:11:12 prog[4711]: sub: x" */
	cr_assert_eq(strncmp(line, "<28>", 4), 0, "%s", line);
	snprintf(want, sizeof(want), " prog[%d]: sub: x", (int)getpid());
	cr_assert_str_eq(line + strlen("<28>Nov  3 10:11:12"), want);
	close(journal);
	cr_assert_eq(log_syslog_send(fd, journal_path, "prog", 4, "lost"), -1);
	listen_at_journal_path();
	cr_assert_eq(log_syslog_send(fd, journal_path, "prog", 4, "again"), 0);
	cr_assert_not_null(strstr(received(), ": again"));
	close(fd);
	close(journal);
	remove_journal();
}

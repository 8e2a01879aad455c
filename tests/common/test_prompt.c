/*
 * Secrets from standard input, and from a terminal without echo.
 */
#include "config.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/prompt.h"

static void
feed_stdin(const char *text)
{
	int p[2];

	cr_assert_eq(pipe(p), 0);
	cr_assert_eq(write(p[1], text, strlen(text)), (ssize_t)strlen(text));
	close(p[1]);
	dup2(p[0], STDIN_FILENO);
	close(p[0]);
}

Test(prompt, first_line_of_a_pipe)
{
	char buf[16], rest[8] = "";
	struct err e;

	feed_stdin("secret\nmore");
	cr_assert_eq(prompt_secret("Password", 1, buf, sizeof(buf), &e), 0);
	cr_assert_str_eq(buf, "secret");
	cr_assert_eq(read(STDIN_FILENO, rest, 4), 4);
	cr_assert_str_eq(rest, "more");
}

Test(prompt, without_a_newline)
{
	char buf[16];
	struct err e;

	feed_stdin("secret");
	cr_assert_eq(prompt_secret("Password", 0, buf, sizeof(buf), &e), 0);
	cr_assert_str_eq(buf, "secret");
}

Test(prompt, empty_or_too_long_is_refused)
{
	char buf[4];
	struct err e;

	feed_stdin("\n");
	cr_assert_eq(prompt_secret("Password", 0, buf, sizeof(buf), &e), -1);
	cr_assert_eq(e.code, ERR_PARAM);
	feed_stdin("1234\n");
	cr_assert_eq(prompt_secret("Password", 0, buf, sizeof(buf), &e), -1);
	cr_assert_eq(e.code, ERR_PARAM);
	feed_stdin("123\n");
	cr_assert_eq(prompt_secret("Password", 0, buf, sizeof(buf), &e), 0);
}

/* In a child on a terminal of its own: exit status 0 if the answer was
 * "secret". */
static pid_t
ask_on_terminal(int *master, int confirm)
{
	char buf[16];
	struct err e;
	pid_t pid = forkpty(master, NULL, NULL, NULL);

	cr_assert_neq(pid, -1);
	if (pid > 0)
		return pid;
	signal(SIGINT, SIG_DFL); /* our parent may ignore it */
	if (prompt_secret("Password", confirm, buf, sizeof(buf), &e) == -1)
		_exit(2);
	_exit(strcmp(buf, "secret") == 0 ? 0 : 1);
}

/* Everything up to and with the mark. */
static void
expect(int master, const char *mark, char *seen, size_t size)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = read(master, seen + len, size - 1 - len);
		cr_assert_gt(n, 0, "the question did not come");
		len += (size_t)n;
		seen[len] = '\0';
	} while (strstr(seen, mark) == NULL);
}

Test(prompt, terminal_does_not_echo, .timeout = 30)
{
	char seen[512];
	int master, status;
	pid_t pid = ask_on_terminal(&master, 1);

	expect(master, "Password: ", seen, sizeof(seen));
	cr_assert_eq(write(master, "secret\n", 7), 7);
	expect(master, "again: ", seen, sizeof(seen));
	cr_assert_null(strstr(seen, "secret"), "%s", seen);
	cr_assert_eq(write(master, "secret\n", 7), 7);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(prompt, two_different_answers_are_refused, .timeout = 30)
{
	char seen[512];
	int master, status;
	pid_t pid = ask_on_terminal(&master, 1);

	expect(master, "Password: ", seen, sizeof(seen));
	cr_assert_eq(write(master, "secret\n", 7), 7);
	expect(master, "again: ", seen, sizeof(seen));
	cr_assert_eq(write(master, "sekret\n", 7), 7);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 2);
}

Test(prompt, interrupt_ends_the_program, .timeout = 30)
{
	char seen[512];
	int master, status;
	pid_t pid = ask_on_terminal(&master, 0);

	expect(master, "Password: ", seen, sizeof(seen));
	cr_assert_eq(write(master, "sec\003", 4), 4);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

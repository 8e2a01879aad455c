/*
 * Questions to the person who runs holdfast or holdfast-admin.  A secret is
 * never echoed and never stays in a buffer of stdio.
 */
#include "config.h"

#include "common/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"

static volatile sig_atomic_t caught;

static void
note_signal(int signo)
{
	caught = signo;
}

/* One line, byte by byte, so that nothing behind it is taken.  Signals come
 * in while it waits only, under that mask (NULL: as they are), so that none
 * is lost between a look at "caught" and the read. */
static int
read_line(int fd, const sigset_t *mask, char *buf, size_t size, struct err *e)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n;
	char c;

	for (;;) {
		n = ppoll(&p, 1, NULL, mask);
		if (n != -1)
			n = read(fd, &c, 1);
		if (n == -1 && errno == EINTR && caught == 0)
			continue;
		if (n == -1)
			return err_errno(e, errno, "cannot read the answer");
		if (n == 0 || c == '\n')
			break;
		if (len + 1 >= size)
			return err_set(e, ERR_PARAM, "the answer is too long");
		buf[len++] = c;
	}
	buf[len] = '\0';
	if (len == 0)
		return err_set(e, ERR_PARAM, "the answer is empty");
	return 0;
}

static void
say(int fd, const char *text)
{
	(void)io_write_full(fd, text, strlen(text), NULL);
}

/*
 * A signal that would end the program must find the terminal as it was, so
 * it only interrupts the read, and is raised again afterwards.
 */
static const int held_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define HELD_COUNT (sizeof(held_signals) / sizeof(held_signals[0]))

static void
hold_signals(struct sigaction old[HELD_COUNT], sigset_t *old_mask)
{
	struct sigaction sa = {.sa_handler = note_signal};
	sigset_t held;
	size_t i;

	caught = 0;
	sigemptyset(&held);
	for (i = 0; i < HELD_COUNT; i++)
		sigaddset(&held, held_signals[i]);
	sigprocmask(SIG_BLOCK, &held, old_mask);
	for (i = 0; i < HELD_COUNT; i++)
		sigaction(held_signals[i], &sa, &old[i]);
}

static void
release_signals(const struct sigaction old[HELD_COUNT],
    const sigset_t *old_mask)
{
	size_t i;

	for (i = 0; i < HELD_COUNT; i++)
		sigaction(held_signals[i], &old[i], NULL);
	sigprocmask(SIG_SETMASK, old_mask, NULL);
	if (caught != 0)
		raise(caught);
}

static int
read_hidden(int tty, const char *question, char *buf, size_t size,
    struct err *e)
{
	struct sigaction signals[HELD_COUNT];
	struct termios old, quiet;
	sigset_t mask;
	int rv;

	if (tcgetattr(tty, &old) == -1)
		return err_errno(e, errno, "cannot set up the terminal");
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	hold_signals(signals, &mask);
	/* The question comes last: what is typed before it is thrown away. */
	tcsetattr(tty, TCSAFLUSH, &quiet);
	say(tty, question);
	say(tty, ": ");
	rv = read_line(tty, &mask, buf, size, e);
	tcsetattr(tty, TCSAFLUSH, &old);
	say(tty, "\n");
	release_signals(signals, &mask);
	return rv;
}

static int
ask_twice(int tty, const char *question, char *buf, size_t size, struct err *e)
{
	char again[1100];
	int rv;

	if (size > sizeof(again))
		size = sizeof(again);
	if (read_hidden(tty, question, buf, size, e) == -1)
		return -1;
	rv = read_hidden(tty, "The same again", again, sizeof(again), e);
	if (rv == 0 && strcmp(buf, again) != 0)
		rv = err_set(e, ERR_PARAM, "the two answers differ");
	mem_wipe(again, sizeof(again));
	return rv;
}

int
prompt_secret(const char *question, int confirm, char *buf, size_t size,
    struct err *e)
{
	int tty, rv;

	if (!isatty(STDIN_FILENO)) {
		rv = read_line(STDIN_FILENO, NULL, buf, size, e);
		return rv == -1
		    ? err_wrap(e, "%s (from standard input)", question)
		    : 0;
	}
	tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (tty == -1)
		return err_errno(e, errno, "cannot open the terminal");
	if (confirm)
		rv = ask_twice(tty, question, buf, size, e);
	else
		rv = read_hidden(tty, question, buf, size, e);
	io_close(&tty);
	if (rv == -1)
		mem_wipe(buf, size);
	return rv;
}

int
prompt_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

int
prompt_yes(const char *question)
{
	char answer[16];

	say(STDERR_FILENO, question);
	say(STDERR_FILENO, " [y/N]: ");
	if (read_line(STDIN_FILENO, NULL, answer, sizeof(answer), NULL) == -1)
		return 0;
	return strcmp(answer, "y") == 0 || strcmp(answer, "Y") == 0 ||
	    strcmp(answer, "yes") == 0;
}

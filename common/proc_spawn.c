/*
 * Starting programs.  Runs in the master, in auth and in the validator, which
 * has threads: between vfork and exec only async-signal-safe calls are made.
 */
#include "config.h"

#include "common/proc.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/close_range.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"

static const char *const env_kept[] = {
    "PATH",
    "LANG",
    "TZ",
    PROC_ENV_LOG,
    PROC_ENV_SANDBOX,
#ifdef HOLDFAST_SANITIZERS
    "ASAN_OPTIONS",
    "UBSAN_OPTIONS",
    "LSAN_OPTIONS",
#endif
};
#define ENV_KEPT (sizeof(env_kept) / sizeof(env_kept[0]))

/* Descriptors are moved above all numbers of the contract first. */
#define FD_ABOVE (PROC_FD_STATUS + PROC_FD_MAX)

struct child {
	const struct proc_spawn *s;
	char **envp;
	int null_fd;
	int err_fd; /* carries errno if exec fails; closed by exec */
	pid_t parent;
};

static char **
env_make(uint32_t generation)
{
	char **envp = xcalloc(ENV_KEPT + 2, sizeof(*envp));
	const char *val;
	size_t i, n = 0;

	envp[n++] = xasprintf("%s=%u", PROC_ENV_GENERATION, generation);
	for (i = 0; i < ENV_KEPT; i++)
		if ((val = getenv(env_kept[i])) != NULL)
			envp[n++] = xasprintf("%s=%s", env_kept[i], val);
	return envp;
}

static void
env_free(char **envp)
{
	size_t i;

	for (i = 0; envp[i] != NULL; i++)
		free(envp[i]);
	free(envp);
}

static int
child_signals(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;
	int signo;

	/* Those of the C library itself cannot be set, which is fine. */
	for (signo = 1; signo < _NSIG; signo++)
		sigaction(signo, &sa, NULL);
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
child_fds(struct child *c)
{
	int fds[PROC_FD_MAX], i, n = c->s->nfds;

	c->err_fd = fcntl(c->err_fd, F_DUPFD_CLOEXEC, FD_ABOVE);
	if (c->err_fd == -1)
		return -1;
	for (i = 0; i < n; i++) {
		fds[i] = c->s->fds[i];
		if (fds[i] == -1)
			continue;
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FD_ABOVE);
		if (fds[i] == -1)
			return -1;
	}
	if (dup2(c->null_fd, STDIN_FILENO) == -1 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) == -1)
		return -1;
	for (i = 0; i < n; i++)
		if (fds[i] == -1)
			close(PROC_FD_STATUS + i);
		else if (dup2(fds[i], PROC_FD_STATUS + i) == -1)
			return -1;
	return close_range((unsigned int)(PROC_FD_STATUS + n), ~0u,
	    CLOSE_RANGE_CLOEXEC);
}

static _Noreturn void
child_main(struct child *c)
{
	int sys;

	if (child_signals() == -1 || child_fds(c) == -1)
		goto fail;
	if (c->s->death_signal != 0) {
		if (prctl(PR_SET_PDEATHSIG, c->s->death_signal, 0, 0, 0) == -1)
			goto fail;
		if (getppid() != c->parent)
			_exit(PROC_EXIT_PARENT);
	}
	execve(c->s->path, c->s->argv, c->envp);
fail:
	sys = errno;
	if (write(c->err_fd, &sys, sizeof(sys)) == -1)
		_exit(PROC_EXIT_FATAL);
	_exit(PROC_EXIT_FATAL);
}

/*
 * vfork(), since the validator has a mapping or two for each session, which
 * fork() would copy.  The child has our memory until exec, and changes none
 * of it but *c.  All signals are blocked, so that no handler of ours runs in
 * it.
 */
static pid_t
child_fork(struct child *c)
{
	sigset_t all, old;
	pid_t pid;
	int sys;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if ((pid = vfork()) == 0)
		child_main(c);
	sys = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = sys;
	return pid;
}

/* 0 once exec closed the pipe, or the errno that came. */
static int
child_wait_exec(int fd)
{
	ssize_t n;
	int sys;

	do
		n = read(fd, &sys, sizeof(sys));
	while (n == -1 && errno == EINTR);
	return n == (ssize_t)sizeof(sys) ? sys : 0;
}

pid_t
proc_spawn(const struct proc_spawn *s, struct err *e)
{
	struct child c = {.s = s, .null_fd = -1, .parent = getpid()};
	int pipe_fds[2] = {-1, -1}, sys;
	pid_t pid = -1;

	if (s->nfds < 0 || s->nfds > PROC_FD_MAX)
		return err_set(e, ERR_INVALID, "too many descriptors");
	c.envp = env_make(s->generation);
	c.null_fd = io_openat(AT_FDCWD, "/dev/null", O_RDWR, 0, e);
	if (c.null_fd == -1 || io_pipe(pipe_fds, e) == -1)
		goto out;
	c.err_fd = pipe_fds[1];
	if ((pid = child_fork(&c)) == -1) {
		err_errno(e, errno, "cannot fork");
		goto out;
	}
	io_close(&pipe_fds[1]);
	if ((sys = child_wait_exec(pipe_fds[0])) != 0) {
		waitpid(pid, NULL, 0);
		pid = -1;
		err_errno(e, sys, "cannot start %s", s->path);
	}
out:
	io_close(&pipe_fds[0]);
	io_close(&pipe_fds[1]);
	io_close(&c.null_fd);
	env_free(c.envp);
	return pid;
}

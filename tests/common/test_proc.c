/*
 * The process contract, with /bin/sh as the program that is started.
 */
#include "config.h"

#include "common/proc.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"

/* Starts sh -c script with fds as 3, 4, ...; the pid. */
static pid_t
sh(const char *script, const int *fds, int nfds)
{
	char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
	struct proc_spawn s = {
	    .path = "/bin/sh",
	    .argv = argv,
	    .fds = fds,
	    .nfds = nfds,
	    .generation = 7,
	};
	struct err e;
	pid_t pid = proc_spawn(&s, &e);

	cr_assert(pid > 0, "%s", e.msg);
	return pid;
}

static int
wait_for(pid_t pid)
{
	int status;

	cr_assert(waitpid(pid, &status, 0) == pid);
	return status;
}

/* What the script writes to descriptor 3. */
static const char *
sh_output(const char *script)
{
	static char buf[4096];
	size_t len = 0;
	ssize_t n;
	int fds[2];
	pid_t pid;

	cr_assert(pipe2(fds, O_CLOEXEC) == 0);
	pid = sh(script, &fds[1], 1);
	close(fds[1]);
	while ((n = read(fds[0], buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	close(fds[0]);
	wait_for(pid);
	return buf;
}

Test(proc, spawned_program_has_only_its_descriptors)
{
	const char *out;
	int leak = open("/dev/null", O_RDONLY); /* not O_CLOEXEC */

	cr_assert(leak >= 0);
	out = sh_output("ls -l /proc/$$/fd >&3");
	cr_expect(strstr(out, " 0 -> /dev/null") != NULL, "%s", out);
	cr_expect(strstr(out, " 1 -> ") != NULL && strstr(out, " 2 -> "));
	cr_expect(strstr(out, " 3 -> pipe:") != NULL);
	/* The shell itself may hold some at 10 and above. */
	cr_expect(strstr(out, " 4 -> ") == NULL, "%s", out);
	cr_expect(strstr(out, " 5 -> ") == NULL);
}

Test(proc, descriptors_may_lie_where_others_go)
{
	int p[4][2], fds[4], i;
	char buf[8] = "";

	for (i = 0; i < 4; i++)
		cr_assert(pipe2(p[i], O_CLOEXEC) == 0);
	/* Into the reverse order, over each other's numbers. */
	for (i = 0; i < 3; i++) {
		fds[i] = fcntl(p[2 - i][1], F_DUPFD_CLOEXEC, 3);
		cr_assert(fds[i] >= 0);
	}
	fds[3] = -1;
	cr_assert(wait_for(sh("echo a >&3; echo b >&4; echo c >&5; "
			      "{ echo d >&6; } 2>/dev/null",
		      fds, 4)) != -1);
	cr_expect(read(p[2][0], buf, 8) == 2 && buf[0] == 'a');
	cr_expect(read(p[1][0], buf, 8) == 2 && buf[0] == 'b');
	cr_expect(read(p[0][0], buf, 8) == 2 && buf[0] == 'c');
}

Test(proc, environment_is_short)
{
	const char *out;

	setenv("SECRET", "x", 1);
	setenv("LD_PRELOAD_X", "x", 1);
	setenv(PROC_ENV_LOG, "stderr", 1);
	out = sh_output("env >&3");
	cr_expect(strstr(out, "SECRET") == NULL);
	cr_expect(strstr(out, "LD_PRELOAD_X") == NULL);
	cr_expect(strstr(out, PROC_ENV_LOG "=stderr\n") != NULL);
	cr_expect(strstr(out, PROC_ENV_GENERATION "=7\n") != NULL);
	cr_expect(strstr(out, "PATH=") != NULL);
}

Test(proc, signals_are_at_their_defaults)
{
	uint64_t blocked, ignored;
	sigset_t set;
	const char *out;

	proc_signals_init();
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	out = sh_output("grep -E '^Sig(Blk|Ign)' /proc/self/status >&3");
	cr_assert(sscanf(out, "SigBlk: %" SCNx64 " SigIgn: %" SCNx64, &blocked,
		      &ignored) == 2,
	    "%s", out);
	cr_expect(blocked == 0, "%s", out);
	/* 32 and 33 are the C library's own; it lets nobody set them. */
	cr_expect((ignored & ~(UINT64_C(3) << 31)) == 0, "%s", out);
	sigprocmask(SIG_BLOCK, NULL, &set);
	cr_expect(sigismember(&set, SIGTERM), "the parent's mask is kept");
}

Test(proc, failed_exec_is_an_error)
{
	char *argv[] = {"x", NULL};
	struct proc_spawn s = {.path = "/nowhere/x", .argv = argv};
	struct err e;

	cr_expect(proc_spawn(&s, &e) == -1);
	cr_expect(e.code == ERR_NOT_FOUND, "%s", e.msg);
	s.path = "/etc/passwd";
	cr_expect(proc_spawn(&s, &e) == -1 && e.code == ERR_SYS);
	s.nfds = PROC_FD_MAX + 1;
	cr_expect(proc_spawn(&s, &e) == -1 && e.code == ERR_INVALID);
	cr_expect(waitpid(-1, NULL, WNOHANG) == -1, "no zombie stays");
}

Test(proc, exit_codes_have_a_meaning)
{
	char text[128];

	cr_expect_str_eq(proc_exit_str(wait_for(sh("exit 3", NULL, 0)), text,
			     sizeof(text)),
	    "exit 3 (configuration)");
	cr_expect_str_eq(proc_exit_str(wait_for(sh("exit 77", NULL, 0)), text,
			     sizeof(text)),
	    "exit 77 (unknown)");
	cr_expect_str_eq(proc_exit_str(wait_for(sh("kill -9 $$", NULL, 0)),
			     text, sizeof(text)),
	    "killed by signal 9 (Killed)");
	cr_expect_str_eq(proc_exit_str(wait_for(sh("kill -SYS $$", NULL, 0)),
			     text, sizeof(text)),
	    "killed by a denied system call");
}

Test(proc, status)
{
	struct proc_status s;
	struct err e;
	int fds[2], status;
	pid_t pid;

	cr_assert(pipe2(fds, O_CLOEXEC) == 0);
	cr_assert(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
	cr_expect(proc_status_recv(fds[0], &s, &e) == 0);
	cr_assert((pid = fork()) >= 0);
	if (pid == 0) {
		setenv(PROC_ENV_GENERATION, "12", 1);
		dup2(fds[1], PROC_FD_STATUS);
		_exit(proc_status_send(PROC_STATE_BUSY, 5, &e) == 0 ? 0 : 1);
	}
	status = wait_for(pid);
	cr_assert(status == 0);
	cr_assert(proc_status_recv(fds[0], &s, &e) == 1);
	cr_expect(s.pid == (uint32_t)pid && s.generation == 12 &&
	    s.state == PROC_STATE_BUSY && s.arg == 5);
	cr_expect(proc_status_recv(fds[0], &s, &e) == 0);
	/* A child that lies about its state, and one that sends half. */
	cr_assert(write(fds[1], "\1\0\0\0\1\0\0\0\77\0\0\0\0\0\0\0", 16) == 16);
	cr_expect(proc_status_recv(fds[0], &s, &e) == -1);
	cr_expect(e.code == ERR_PROTO);
	cr_assert(write(fds[1], "\1\0\0\0", 4) == 4);
	cr_expect(proc_status_recv(fds[0], &s, &e) == -1);
	cr_expect(e.code == ERR_PROTO);
	close(fds[1]);
	cr_expect(proc_status_recv(fds[0], &s, &e) == -1);
	cr_expect(e.code == ERR_ABORTED);
}

Test(proc, status_needs_its_generation)
{
	struct err e;

	unsetenv(PROC_ENV_GENERATION);
	cr_expect(proc_status_send(PROC_STATE_READY, 0, &e) == -1);
	setenv(PROC_ENV_GENERATION, "x", 1);
	cr_expect(proc_status_send(PROC_STATE_READY, 0, &e) == -1);
}

Test(proc, drop_is_for_good)
{
	gid_t groups[8];
	struct err e;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert(proc_drop(12345, 12346, NULL, 0, &e) == 0, "%s", e.msg);
	cr_expect(getuid() == 12345 && getgid() == 12346);
	cr_expect(getgroups(8, groups) == 0);
	cr_expect(setuid(0) == -1 && setgid(0) == -1);
	cr_expect(proc_drop(12345, 12346, NULL, 0, &e) == 0, "already so");
	cr_expect(proc_drop(1, 1, NULL, 0, &e) == -1 && e.code == ERR_PERM);
}

Test(proc, drop_keeps_the_groups_given)
{
	gid_t groups[8], want = 4321;
	struct err e;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert(proc_drop(12345, 12346, &want, 1, &e) == 0);
	cr_expect(getgroups(8, groups) == 1 && groups[0] == want);
}

Test(proc, harden)
{
	struct rlimit rl;
	struct err e;

	cr_assert(proc_harden(SIGKILL, &e) == 0, "%s", e.msg);
	cr_expect(getrlimit(RLIMIT_CORE, &rl) == 0 && rl.rlim_max == 0);
	cr_expect(proc_limit(RLIMIT_NOFILE, 50, &e) == 0);
	cr_expect(getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur == 50);
}

Test(proc, isolated_network_is_empty)
{
	struct err e;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert(proc_isolate_net(&e) == 0, "%s", e.msg);
	cr_expect(system("test $(grep -c : /proc/self/net/dev) -le 1") == 0);
}

Test(proc, chroot)
{
	char dir[] = "/tmp/holdfast-proc-XXXXXX";
	struct err e;
	int top, status;
	pid_t pid;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert(mkdtemp(dir) != NULL);
	cr_assert((pid = fork()) >= 0);
	if (pid == 0) {
		if (proc_chroot(dir, &e) == -1)
			_exit(1);
		_exit(access("/tmp", F_OK) == -1 ? 0 : 2);
	}
	status = wait_for(pid);
	cr_expect(status == 0);
	top = open(dir, O_RDONLY);
	cr_expect(rmdir(dir) == 0);
	cr_expect(proc_chroot(dir, &e) == -1 && e.code == ERR_NOT_FOUND);
	close(top);
}

Test(proc, users)
{
	uid_t uid;
	gid_t gid;
	struct err e;

	cr_expect(proc_user("root", &uid, &gid, &e) == 0 && uid == 0);
	cr_expect(proc_group("root", &gid, &e) == 0 && gid == 0);
	cr_expect(proc_user("no such user", &uid, &gid, &e) == -1);
	cr_expect(e.code == ERR_NOT_FOUND);
	cr_expect(proc_group("no such group", &gid, &e) == -1);
}

Test(proc, backoff)
{
	struct proc_backoff b = {.min_ms = 100, .max_ms = 1000};
	uint32_t want[] = {100, 200, 400, 800, 1000, 1000}, got;
	size_t i;

	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		got = proc_backoff_next(&b);
		cr_expect(got <= want[i] && got >= want[i] - want[i] / 4,
		    "%zu: %u", i, got);
	}
	b.faults = UINT32_MAX;
	cr_expect(proc_backoff_next(&b) >= 750);
	proc_backoff_reset(&b);
	cr_expect(proc_backoff_next(&b) <= 100);
}

static int called;

static void
on_gone(void *ctx)
{
	cr_assert(ctx == &called);
	called++;
}

Test(proc, death_of_the_parent)
{
	struct event_base *base = event_base_new();
	struct event *ev;
	struct err e;
	int fds[2];

	cr_assert(io_pipe(fds, &e) == 0);
	ev = proc_watch_parent(base, fds[0], on_gone, &called, &e);
	cr_assert(ev != NULL);
	event_base_loop(base, EVLOOP_NONBLOCK);
	cr_assert(write(fds[1], "x", 1) == 1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	cr_assert(called == 0, "what is written means nothing");
	io_close(&fds[1]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	cr_assert(called == 1, "once");
	event_free(ev);
	event_base_free(base);
	io_close(&fds[0]);
}

static void
on_signal(int signo, short what, void *ctx)
{
	(void)what;
	cr_assert(ctx == &called);
	called = signo;
}

Test(proc, signals_are_events)
{
	struct event_base *base = event_base_new();
	struct event *ev;
	struct err e;

	proc_signals_init();
	ev = proc_signal(base, SIGHUP, on_signal, &called, &e);
	cr_assert(ev != NULL);
	raise(SIGHUP);
	raise(SIGPIPE);
	cr_assert(called == 0, "not before the loop");
	event_base_loop(base, EVLOOP_NONBLOCK);
	cr_assert(called == SIGHUP);
	event_free(ev);
	event_base_free(base);
}

Test(proc, systemd_is_not_there)
{
	struct event *ev = (struct event *)1;
	struct err e;

	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("LISTEN_FDS");
	proc_notify("READY=%d", 1);
	cr_expect(proc_watchdog_ms() == 0);
	cr_expect(proc_watchdog(NULL, &ev, &e) == 0 && ev == NULL);
	cr_expect(proc_listen_fd("x", 0) == -1);
}

Test(proc, systemd_is_there)
{
	struct event_base *base = event_base_new();
	struct event *ev;
	char pid[32];
	struct err e;

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_USEC", "30000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	cr_expect(proc_watchdog_ms() == 15000);
	cr_expect(proc_watchdog(base, &ev, &e) == 0 && ev != NULL);
	event_free(ev);
	event_base_free(base);
}

/* As systemd passes sockets: from 3 on, with names. */
Test(proc, inherited_sockets)
{
	struct sockaddr_un any = {.sun_family = AF_UNIX};
	char pid[32];
	int s, status;
	pid_t child;

	cr_assert((child = fork()) >= 0);
	if (child == 0) {
		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "2", 1);
		setenv("LISTEN_FDNAMES", "other:validator", 1);
		s = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		if (bind(s, (struct sockaddr *)&any, sizeof(any.sun_family)) ==
			-1 ||
		    dup2(s, 20) == -1 || listen(20, 1) == -1 ||
		    dup2(20, 3) == -1 || dup2(20, 4) == -1)
			_exit(9);
		if (proc_listen_fd("none", 0) != -1)
			_exit(1);
		if (proc_listen_fd("validator", 0) != 4)
			_exit(2);
		if (proc_listen_fd("validator", 1) != -1)
			_exit(4);
		_exit(fcntl(4, F_GETFD) & FD_CLOEXEC ? 0 : 3);
	}
	status = wait_for(child);
	cr_assert(WIFEXITED(status));
	cr_expect(WEXITSTATUS(status) == 0, "step %d", WEXITSTATUS(status));
}

/*
 * The sandbox, as the kernel enforces it.  Each test is its own process, so
 * sealing it harms no other.
 */
#include "config.h"

#include "common/sandbox_int.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"
#include "common/proc.h"

static char dir[] = "/tmp/holdfast-sandbox-XXXXXX";

static void
dir_make(void)
{
	int fd;

	cr_assert(mkdtemp(dir) != NULL);
	cr_assert(chdir(dir) == 0);
	cr_assert(mkdir("in", 0700) == 0 && mkdir("out", 0700) == 0);
	fd = open("in/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cr_assert(fd >= 0);
	close(fd);
	cr_assert(link("in/file", "out/file") == 0);
}

static void
dir_remove(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	cr_assert(system(cmd) == 0);
}

/* Runs fn in a child under the profile; the wait status. */
static int
run(enum sandbox_profile profile, unsigned int rights, int (*fn)(void))
{
	struct sandbox_path paths[] = {{"in", -1, rights}};
	struct err e;
	pid_t pid;
	int status;

	cr_assert((pid = fork()) >= 0);
	if (pid == 0) {
		if (sandbox_enter(profile, paths, rights != 0 ? 1 : 0, 0, &e) ==
		    -1) {
			fprintf(stderr, "%s\n", e.msg);
			_exit(99);
		}
		_exit(fn());
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	return status;
}

/* The line of the first expectation that did not hold. */
#define EXPECT(cond)                                 \
	do {                                         \
		if (!(cond))                         \
			return 100 + __LINE__ % 100; \
	} while (0)

static void
run_ok(enum sandbox_profile profile, unsigned int rights, int (*fn)(void))
{
	int status = run(profile, rights, fn);
	char text[128];

	cr_assert(status == 0, "%s", proc_exit_str(status, text, sizeof(text)));
}

static int
worker_cannot(void)
{
	int fd;

	EXPECT(open("in/file", O_RDONLY) == -1 && errno == EPERM);
	EXPECT(socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM);
	EXPECT(socket(AF_UNIX, SOCK_STREAM, 0) == -1 && errno == EPERM);
	EXPECT((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) >= 0);
	EXPECT(chmod("in/file", 0777) == -1 && errno == EPERM);
	EXPECT(unlink("in/file") == -1 && errno == EPERM);
	EXPECT(kill(getppid(), 0) == -1 && errno == EPERM);
	EXPECT(fork() == -1);
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	EXPECT(fcntl(fd, F_SETOWN, getppid()) == -1 && errno == EPERM);
	return 0;
}

Test(sandbox, worker_has_its_sockets_and_nothing_else, .init = dir_make,
    .fini = dir_remove)
{
	run_ok(SANDBOX_WORKER, 0, worker_cannot);
}

static int
checker_cannot(void)
{
	EXPECT(socket(AF_UNIX, SOCK_SEQPACKET, 0) == -1 && errno == EPERM);
	EXPECT(open("in/file", O_RDONLY) == -1);
	EXPECT(malloc(1 << 20) != NULL);
	return 0;
}

Test(sandbox, checker_cannot_connect, .init = dir_make, .fini = dir_remove)
{
	run_ok(SANDBOX_CHECKER, 0, checker_cannot);
}

static int
do_exec(void)
{
	execl("/bin/true", "true", NULL);
	return 0;
}

static int
do_unshare(void)
{
	unshare(CLONE_NEWUSER);
	return 0;
}

static int
do_ptrace(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
	return 0;
}

Test(sandbox, attacks_kill, .init = dir_make, .fini = dir_remove)
{
	static int (*const deeds[])(void) = {do_exec, do_unshare, do_ptrace};
	size_t i;
	int status;

	for (i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		status = run(SANDBOX_WORKER, 0, deeds[i]);
		cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
		    "deed %zu: status %d", i, status);
	}
}

static void *
thread_main(void *arg)
{
	return arg;
}

static int
validator_can(void)
{
	pthread_t t;
	void *result;
	int fd;

	EXPECT((fd = open("in/new", O_WRONLY | O_CREAT, 0600)) >= 0);
	EXPECT(write(fd, "x", 1) == 1);
	EXPECT(ftruncate(fd, 0) == 0);
	EXPECT(rename("in/new", "in/newer") == 0);
	EXPECT(unlink("in/newer") == 0);
	EXPECT(pthread_create(&t, NULL, thread_main, &fd) == 0);
	EXPECT(pthread_join(t, &result) == 0 && result == &fd);
	EXPECT(chmod("in/file", 0777) == -1 && errno == EPERM);
	EXPECT(chown("in/file", getuid(), getgid()) == -1 && errno == EPERM);
	return 0;
}

static int
landlock_denies(void)
{
	int fd;

	EXPECT(open("out/file", O_RDONLY) == -1 && errno == EACCES);
	EXPECT(open("out/new", O_WRONLY | O_CREAT, 0600) == -1);
	EXPECT(link("in/file", "out/link") == -1);
	EXPECT((fd = open("in/file", O_RDONLY)) >= 0);
	EXPECT(open("in/file", O_WRONLY) == -1 && errno == EACCES);
	return 0;
}

Test(sandbox, landlock_allows_only_the_given_paths)
{
	if (sandbox_landlock_abi() == 0)
		cr_skip_test("no Landlock in this kernel");
	dir_make();
	run_ok(SANDBOX_VALIDATOR, SANDBOX_READ, landlock_denies);
	dir_remove();
}

static int
caps_are_gone(void)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3];

	EXPECT(syscall(SYS_capget, &head, now) == 0);
	EXPECT(now[0].effective == 0 && now[0].permitted == 0);
	EXPECT(now[1].effective == 0 && now[1].permitted == 0);
	EXPECT(setresuid(1, 1, 1) == -1);
	return 0;
}

/* What a process that starts others as root does without. */
static int
starter_caps(void)
{
	EXPECT(prctl(PR_CAPBSET_READ, CAP_SETUID, 0, 0, 0) == 1);
	EXPECT(prctl(PR_CAPBSET_READ, CAP_SYS_PTRACE, 0, 0, 0) == 0);
	EXPECT(prctl(PR_CAPBSET_READ, CAP_NET_ADMIN, 0, 0, 0) == 0);
	EXPECT(prctl(PR_CAPBSET_READ, CAP_SYS_MODULE, 0, 0, 0) == 0);
	EXPECT(chroot("in") == 0);
	return 0;
}

Test(sandbox, starter_keeps_what_its_children_drop)
{
	struct err e;
	pid_t pid;
	int status;

	if (getuid() != 0)
		cr_skip_test("only root has capabilities");
	dir_make();
	cr_assert((pid = fork()) >= 0);
	if (pid == 0) {
		if (sandbox_enter(SANDBOX_MASTER, NULL, 0,
			SANDBOX_F_STARTER | SANDBOX_F_NO_LANDLOCK, &e) == -1)
			_exit(99);
		_exit(starter_caps());
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	cr_assert(status == 0, "status %x", status);
	dir_remove();
}

static uint64_t
limit_of(int resource)
{
	struct rlimit l;

	return getrlimit((__rlimit_resource_t)resource, &l) == 0 ? l.rlim_max
								 : 0;
}

static int
worker_limits(void)
{
	EXPECT(limit_of(RLIMIT_NPROC) == 0);
	EXPECT(limit_of(RLIMIT_NOFILE) <= 1024);
#ifndef HOLDFAST_SANITIZERS
	EXPECT(limit_of(RLIMIT_DATA) <= UINT64_C(2) << 30);
#endif
	return 0;
}

Test(sandbox, limits_are_set, .init = dir_make, .fini = dir_remove)
{
	run_ok(SANDBOX_WORKER, 0, worker_limits);
}

static int
hasher_limits(void)
{
	EXPECT(limit_of(RLIMIT_FSIZE) == 0);
	EXPECT(limit_of(RLIMIT_NOFILE) == 10);
	return 0;
}

Test(sandbox, lower_limits_stay, .init = dir_make, .fini = dir_remove)
{
	struct err e;

	cr_assert(proc_limit(RLIMIT_NOFILE, 10, &e) == 0);
	run_ok(SANDBOX_HASHER, 0, hasher_limits);
}

/* As on a kernel without Landlock. */
static int
landlock_hide(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	return ctx == NULL ||
	    seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
		SCMP_SYS(landlock_create_ruleset), 0) != 0 ||
	    seccomp_load(ctx) != 0;
}

static int
enter_without_landlock(unsigned int flags)
{
	struct err e = {.code = ERR_OK};
	int status;
	pid_t pid;

	cr_assert((pid = fork()) >= 0);
	if (pid == 0) {
		if (landlock_hide())
			_exit(99);
		sandbox_enter(SANDBOX_CHECKER, NULL, 0, flags, &e);
		_exit(e.code);
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	return WEXITSTATUS(status);
}

Test(sandbox, kernel_without_landlock)
{
	cr_expect_eq(enter_without_landlock(0), ERR_OK);
	cr_expect_eq(enter_without_landlock(SANDBOX_F_REQUIRE),
	    ERR_UNSUPPORTED);
	/* A process without path rules speaks for its children. */
	cr_expect_eq(enter_without_landlock(
			 SANDBOX_F_REQUIRE | SANDBOX_F_NO_LANDLOCK),
	    ERR_UNSUPPORTED);
}

Test(sandbox, capabilities_are_gone, .init = dir_make, .fini = dir_remove)
{
	run_ok(SANDBOX_VALIDATOR, SANDBOX_READ, caps_are_gone);
}

/* Seals a child with one path; the error code. */
static int
enter_code(const char *path, unsigned int rights)
{
	struct sandbox_path p = {path, -1, rights};
	struct err e = {.code = ERR_OK};
	int status;
	pid_t pid;

	cr_assert((pid = fork()) >= 0);
	if (pid == 0) {
		sandbox_enter(SANDBOX_VALIDATOR, &p, 1, 0, &e);
		_exit(e.code);
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

Test(sandbox, missing_path_is_an_error_unless_it_may_be)
{
	if (sandbox_landlock_abi() == 0)
		cr_skip_test("no Landlock in this kernel");
	dir_make();
	cr_assert(enter_code("in", SANDBOX_READ) == ERR_OK);
	cr_assert(enter_code("nowhere", SANDBOX_READ) == ERR_NOT_FOUND);
	cr_assert(
	    enter_code("nowhere", SANDBOX_READ | SANDBOX_MAYBE) == ERR_OK);
	dir_remove();
}

/* A program started from the strictest spawning profile must come up. */
static int
exec_true(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(98);
	}
	EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

Test(sandbox, spawning_profiles_can_exec, .init = dir_make, .fini = dir_remove)
{
	struct sandbox_path paths[32] = {{"/bin/true", -1, SANDBOX_EXEC}};
	struct err e;
	pid_t pid;
	int status;

	memcpy(paths + 1, sandbox_system_paths,
	    sandbox_system_npaths * sizeof(paths[0]));
	cr_assert((pid = fork()) >= 0);
	if (pid == 0) {
		if (sandbox_enter(SANDBOX_VALIDATOR, paths,
			1 + sandbox_system_npaths, 0, &e) == -1)
			_exit(99);
		_exit(exec_true());
	}
	cr_assert(waitpid(pid, &status, 0) == pid);
	cr_assert(status == 0, "status %x", status);
}

Test(sandbox, trap_names_the_denied_call, .init = dir_make, .fini = dir_remove)
{
	char text[512] = "";
	int fds[2], status;
	ssize_t n;

	cr_assert(setenv(PROC_ENV_SANDBOX, "trap", 1) == 0);
	cr_assert(pipe(fds) == 0);
	cr_assert(dup2(fds[1], STDERR_FILENO) == STDERR_FILENO);
	status = run(SANDBOX_WORKER, 0, worker_cannot);
	n = read(fds[0], text, sizeof(text) - 1);
	cr_assert(n > 0);
	cr_assert(strstr(text, "denied system call open") != NULL, "%s", text);
	cr_assert(status == 0, "calls still fail in the same way");
}

/* Every row of every table names a call that libseccomp knows, and every
 * profile loads. */
Test(sandbox, every_profile_loads)
{
	struct err e = {.code = ERR_OK};
	int i, status;
	pid_t pid;

	for (i = 0; i < SANDBOX_PROFILE_COUNT; i++) {
		cr_assert(sandbox_profile_name(i) != NULL);
		cr_assert((pid = fork()) >= 0);
		if (pid == 0) {
			if (sandbox_enter(i, NULL, 0, 0, &e) == 0)
				_exit(0);
			fprintf(stderr, "%s\n", e.msg);
			_exit(1);
		}
		cr_assert(waitpid(pid, &status, 0) == pid);
		cr_assert(status == 0, "profile %d: %x", i, status);
	}
}

Test(sandbox, validator_works_on_its_store, .init = dir_make,
    .fini = dir_remove)
{
	run_ok(SANDBOX_VALIDATOR, SANDBOX_READ | SANDBOX_WRITE, validator_can);
}

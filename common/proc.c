/*
 * What a program does to itself at its start, and what parent and child tell
 * each other.  Runs in every process, at first as root where there is root;
 * a status that comes from a child is not trusted.
 */
#include "config.h"

#include "common/proc.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/str.h"
#include "common/wire.h"

static const char *const exit_meaning[] = {
    [PROC_EXIT_OK] = "done",
    [PROC_EXIT_FATAL] = "fatal error",
    [PROC_EXIT_USAGE] = "usage",
    [PROC_EXIT_CONFIG] = "configuration",
    [PROC_EXIT_SANDBOX] = "could not seal itself",
    [PROC_EXIT_PARENT] = "parent gone",
    [PROC_EXIT_PROTO] = "protocol error of a sibling",
};
#define EXIT_MEANINGS (sizeof(exit_meaning) / sizeof(exit_meaning[0]))

const char *
proc_exit_str(int wait_status, char *dst, size_t dst_size)
{
	unsigned int code;

	if (WIFSIGNALED(wait_status)) {
		if (WTERMSIG(wait_status) == SIGSYS)
			snprintf(dst, dst_size,
			    "killed by a denied system call");
		else
			snprintf(dst, dst_size, "killed by signal %d (%s)",
			    WTERMSIG(wait_status),
			    strsignal(WTERMSIG(wait_status)));
		return dst;
	}
	code = (unsigned int)WEXITSTATUS(wait_status);
	snprintf(dst, dst_size, "exit %u (%s)", code,
	    code < EXIT_MEANINGS ? exit_meaning[code] : "unknown");
	return dst;
}

int
proc_status_send(enum proc_state state, uint32_t arg, struct err *e)
{
	const char *text = getenv(PROC_ENV_GENERATION);
	uint8_t buf[PROC_STATUS_LEN];
	uint64_t generation;
	struct wire_w w;

	if (text == NULL || str_to_u64(text, 0, UINT32_MAX, &generation) == -1)
		return err_set(e, ERR_INVALID, "no valid %s in the environment",
		    PROC_ENV_GENERATION);
	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u32(&w, (uint32_t)getpid());
	wire_w_u32(&w, (uint32_t)generation);
	wire_w_u32(&w, state);
	wire_w_u32(&w, arg);
	if (io_set_nonblock(PROC_FD_STATUS, e) == -1)
		return -1;
	/* Shorter than PIPE_BUF: all of it or nothing. */
	if (write(PROC_FD_STATUS, buf, sizeof(buf)) != (ssize_t)sizeof(buf))
		return err_errno(e, errno, "cannot tell the parent our state");
	return 0;
}

int
proc_status_recv(int fd, struct proc_status *out, struct err *e)
{
	uint8_t buf[PROC_STATUS_LEN];
	struct wire_r r;
	ssize_t n;

	do
		n = read(fd, buf, sizeof(buf));
	while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EAGAIN)
		return 0;
	if (n == -1)
		return err_errno(e, errno, "status pipe");
	if (n == 0)
		return err_set(e, ERR_ABORTED, "status pipe closed");
	wire_r_init(&r, buf, (size_t)n);
	out->pid = wire_r_u32(&r);
	out->generation = wire_r_u32(&r);
	out->state = wire_r_u32(&r);
	out->arg = wire_r_u32(&r);
	if (wire_r_end(&r) == -1 || out->state < PROC_STATE_READY ||
	    out->state > PROC_STATE_IDLE)
		return err_set(e, ERR_PROTO, "no valid status on the pipe");
	return 1;
}

void
proc_started_by(const char *parent, const char *program, int argc, char **argv)
{
	const char *asked = argc == 2 ? argv[1] : "";

	if (argc == 1 && getenv(PROC_ENV_GENERATION) != NULL)
		return;
	if (strcmp(asked, "-V") == 0 || strcmp(asked, "--version") == 0) {
		printf("%s %s\n", program, PACKAGE_VERSION);
		exit(PROC_EXIT_OK);
	}
	if (strcmp(asked, "-h") == 0 || strcmp(asked, "--help") == 0) {
		printf("%s is started by %s\n", program, parent);
		exit(PROC_EXIT_OK);
	}
	fprintf(stderr, "%s is started by %s\n", program, parent);
	exit(PROC_EXIT_USAGE);
}

int
proc_close_from(int first, struct err *e)
{
	int keep = log_keeps_fd(), rv = 0;

	if (keep > first)
		rv =
		    close_range((unsigned int)first, (unsigned int)keep - 1, 0);
	if (keep >= first)
		first = keep + 1;
	if (rv == -1 || close_range((unsigned int)first, ~0u, 0) == -1)
		return err_errno(e, errno, "cannot close descriptors");
	return 0;
}

int
proc_chroot(const char *dir, struct err *e)
{
	if (chroot(dir) == -1 || chdir("/") == -1)
		return err_errno(e, errno, "cannot change the root to %s", dir);
	return 0;
}

int
proc_isolate_net(struct err *e)
{
	if (unshare(CLONE_NEWNET) == -1)
		return err_errno(e, errno, "cannot leave the network");
	return 0;
}

int
proc_user(const char *name, uid_t *uid_out, gid_t *gid_out, struct err *e)
{
	struct passwd *pw;

	errno = 0;
	if ((pw = getpwnam(name)) == NULL) {
		if (errno != 0 && errno != ENOENT)
			return err_errno(e, errno, "user %s", name);
		return err_set(e, ERR_NOT_FOUND, "no user %s", name);
	}
	*uid_out = pw->pw_uid;
	*gid_out = pw->pw_gid;
	return 0;
}

int
proc_group(const char *name, gid_t *gid_out, struct err *e)
{
	struct group *gr;

	errno = 0;
	if ((gr = getgrnam(name)) == NULL) {
		if (errno != 0 && errno != ENOENT)
			return err_errno(e, errno, "group %s", name);
		return err_set(e, ERR_NOT_FOUND, "no group %s", name);
	}
	*gid_out = gr->gr_gid;
	return 0;
}

/* All three of each id are ours, and root does not come back. */
static int
drop_verify(uid_t uid, gid_t gid, struct err *e)
{
	uid_t r, eff, s;
	gid_t gr, geff, gs;

	if (getresuid(&r, &eff, &s) == -1 || getresgid(&gr, &geff, &gs) == -1)
		return err_errno(e, errno, "cannot read our ids");
	if (r != uid || eff != uid || s != uid || gr != gid || geff != gid ||
	    gs != gid)
		return err_set(e, ERR_INTERNAL, "privileges not dropped");
	if (uid != 0 && (setuid(0) != -1 || seteuid(0) != -1))
		return err_set(e, ERR_INTERNAL, "privileges came back");
	return 0;
}

int
proc_drop(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups,
    struct err *e)
{
	if (geteuid() != 0) {
		if (geteuid() != uid || getuid() != uid)
			return err_set(e, ERR_PERM,
			    "uid %lu cannot become uid %lu",
			    (unsigned long)geteuid(), (unsigned long)uid);
		return 0;
	}
	if (setgroups(ngroups, groups) == -1)
		return err_errno(e, errno, "cannot set groups");
	if (setresgid(gid, gid, gid) == -1)
		return err_errno(e, errno, "cannot become gid %lu",
		    (unsigned long)gid);
	if (setresuid(uid, uid, uid) == -1)
		return err_errno(e, errno, "cannot become uid %lu",
		    (unsigned long)uid);
	return drop_verify(uid, gid, e);
}

int
proc_limit(int resource, uint64_t limit, struct err *e)
{
	struct rlimit rl = {.rlim_cur = limit, .rlim_max = limit};

	if (setrlimit((__rlimit_resource_t)resource, &rl) == -1)
		return err_errno(e, errno, "cannot set resource limit %d",
		    resource);
	return 0;
}

int
proc_want_files(uint64_t n, struct err *e)
{
	struct rlimit rl;

	if (proc_limit(RLIMIT_NOFILE, n, e) == 0)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return err_errno(e, errno, "getrlimit");
	rl.rlim_cur = rl.rlim_max < n ? rl.rlim_max : n;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		return err_errno(e, errno, "setrlimit");
	if (rl.rlim_cur == n)
		return 0;
	return err_set(e, ERR_LIMIT, "%llu of %llu descriptors",
	    (unsigned long long)rl.rlim_cur, (unsigned long long)n);
}

int
proc_harden(int death_signal, struct err *e)
{
	pid_t parent = getppid();

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return err_errno(e, errno, "cannot forbid dumps");
	if (proc_limit(RLIMIT_CORE, 0, e) == -1)
		return -1;
	if (death_signal == 0)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) == -1)
		return err_errno(e, errno, "cannot ask for a death signal");
	/* It may have gone just before. */
	if (getppid() != parent || parent == 1)
		return err_set(e, ERR_ABORTED, "the parent is gone");
	return 0;
}

uint32_t
proc_backoff_next(struct proc_backoff *b)
{
	uint64_t delay = b->min_ms;
	uint32_t dice, i;

	for (i = 0; i < b->faults && delay < b->max_ms; i++)
		delay *= 2;
	if (delay > b->max_ms)
		delay = b->max_ms;
	if (b->faults < UINT32_MAX)
		b->faults++;
	io_random(&dice, sizeof(dice));
	return (uint32_t)(delay - delay / 4 * (dice % 1024) / 1024);
}

void
proc_backoff_reset(struct proc_backoff *b)
{
	b->faults = 0;
}

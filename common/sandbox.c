/*
 * Sealing of the calling process; each program does it once, before it reads
 * a byte from outside.  Trusts the tables and the paths it is given; of the
 * environment it takes only whether denied calls are shown.
 */
#include "config.h"

#include "common/sandbox_int.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "common/proc.h"

#ifdef HOLDFAST_SANITIZERS
static int sealed;
int __lsan_is_turned_off(void);

/* The leak check at exit traces its own process, which no sandbox allows. */
int
__lsan_is_turned_off(void)
{
	return sealed;
}
#endif

const char *
sandbox_profile_name(enum sandbox_profile profile)
{
	return sandbox_profiles[profile].name;
}

/* --- capabilities and limits --------------------------------------------- */

/* What the master's children do as root before they are somebody else. */
static const int caps_of_starter[] = {
    CAP_CHOWN,
    CAP_DAC_OVERRIDE,
    CAP_FOWNER,
    CAP_KILL,
    CAP_SETGID,
    CAP_SETUID,
    CAP_SETPCAP,
    CAP_SYS_CHROOT,
    CAP_SYS_ADMIN, /* the empty network */
    CAP_SYS_RESOURCE,
    CAP_IPC_LOCK,
};

static uint64_t
caps_kept(unsigned int flags)
{
	uint64_t kept = 0;
	size_t i;

	if (!(flags & SANDBOX_F_STARTER))
		return 0;
	for (i = 0; i < sizeof(caps_of_starter) / sizeof(caps_of_starter[0]);
	     i++)
		kept |= UINT64_C(1) << caps_of_starter[i];
	return kept;
}

static int
caps_drop(unsigned int flags, struct err *e)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3];
	uint64_t kept = caps_kept(flags);
	int cap, i;

	/* Without CAP_SETPCAP the bounding set stays; after no-new-privileges
	 * it gives nothing any more. */
	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(kept >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &head, now) == -1)
		return err_errno(e, errno, "cannot read capabilities");
	/* A service manager's filter may forbid capset(). */
	if (memcmp(now, none, sizeof(now)) == 0)
		return 0;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		now[i].permitted &= (uint32_t)(kept >> 32 * i);
		now[i].effective &= now[i].permitted;
		now[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, now) == -1 ||
	    syscall(SYS_capget, &head, now) == -1)
		return err_errno(e, errno, "cannot drop capabilities");
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if ((now[i].permitted & ~(uint32_t)(kept >> 32 * i)) != 0 ||
		    now[i].inheritable != 0)
			return err_set(e, ERR_INTERNAL, "capabilities remain");
	return 0;
}

static int
limits_set(const struct sandbox_profile_def *def, struct err *e)
{
	const struct sandbox_limit *l;
	struct rlimit now;

	for (l = def->limits; l != NULL && l->resource != -1; l++) {
#ifdef HOLDFAST_SANITIZERS
		/* Their shadow memory is no fault of ours. */
		if (l->resource == RLIMIT_DATA)
			continue;
#endif
		if (getrlimit((__rlimit_resource_t)l->resource, &now) == -1)
			return err_errno(e, errno, "cannot read limit %d",
			    l->resource);
		if (now.rlim_max > l->max &&
		    proc_limit(l->resource, l->max, e) == -1)
			return -1;
	}
	return 0;
}

/* --- seccomp ------------------------------------------------------------- */

/* Names a denied call and lets it fail as it would have. */
static void
on_sigsys(int signo, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	char line[128], *name;
	int n;

	(void)signo;
	name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE,
	    info->si_syscall);
	n = snprintf(line, sizeof(line),
	    "sandbox: denied system call %s (%d)\n", name != NULL ? name : "?",
	    info->si_syscall);
	free(name);
	if (write(STDERR_FILENO, line, (size_t)n) == -1)
		return;
#if defined(__x86_64__)
	uc->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
	uc->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#else
	(void)uc;
#endif
}

/* What happens to a call outside of the profile. */
static uint32_t
action_denied(void)
{
	const char *mode = getenv(PROC_ENV_SANDBOX);
	struct sigaction sa = {
	    .sa_sigaction = on_sigsys,
	    .sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	if (mode != NULL && strcmp(mode, "log") == 0)
		return SCMP_ACT_LOG;
	if (mode != NULL && strcmp(mode, "trap") == 0 &&
	    sigaction(SIGSYS, &sa, NULL) == 0)
		return SCMP_ACT_TRAP;
	return SCMP_ACT_ERRNO(EPERM);
}

static int
profile_has(const struct sandbox_profile_def *def, const char *name)
{
	const struct sandbox_call *const *set, *call;

	for (set = def->sets; *set != NULL; set++)
		for (call = *set; call->name != NULL; call++)
			if (strcmp(call->name, name) == 0)
				return 1;
	return 0;
}

static int
rule_add(scmp_filter_ctx ctx, uint32_t action, const struct sandbox_call *call,
    struct err *e)
{
	int nr = seccomp_syscall_resolve_name(call->name);
	struct scmp_arg_cmp cmp[2];
	unsigned int n = 0;
	int rc;

	if (nr == __NR_SCMP_ERROR)
		return err_set(e, ERR_INTERNAL, "unknown system call %s",
		    call->name);
	while (n < 2 && call->when[n].mask != 0) {
		cmp[n] = (struct scmp_arg_cmp){
		    .arg = call->when[n].arg,
		    .op = SCMP_CMP_MASKED_EQ,
		    .datum_a = call->when[n].mask,
		    .datum_b = call->when[n].value,
		};
		n++;
	}
	rc = seccomp_rule_add_array(ctx, action, nr, n, cmp);
	/* A wider row of another set covers this one, or the machine's
	 * architecture does not have the call. */
	if (rc == -EEXIST || rc == -EDOM)
		rc = 0;
	return rc == 0
	    ? 0
	    : err_errno(e, -rc, "filter for system call %s", call->name);
}

static int
rules_add(scmp_filter_ctx ctx, const struct sandbox_profile_def *def,
    struct err *e)
{
	/* glibc falls back to clone(), whose flags a filter can see. */
	static const struct sandbox_call clone3 = {.name = "clone3"};
	const struct sandbox_call *const *set, *call;
	const char *const *name;

	for (set = def->sets; *set != NULL; set++)
		for (call = *set; call->name != NULL; call++)
			if (rule_add(ctx, SCMP_ACT_ALLOW, call, e) == -1)
				return -1;
	for (name = sandbox_deadly; *name != NULL; name++)
		if (!profile_has(def, *name) &&
		    rule_add(ctx, SCMP_ACT_KILL_PROCESS,
			&(struct sandbox_call){.name = *name}, e) == -1)
			return -1;
	return rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), &clone3, e);
}

static int
seccomp_enter(const struct sandbox_profile_def *def, struct err *e)
{
	scmp_filter_ctx ctx;
	int rc, rv = -1;

	if ((ctx = seccomp_init(action_denied())) == NULL)
		return err_set(e, ERR_NOMEM, "cannot make a filter");
	if (rules_add(ctx, def, e) == -1)
		goto out;
	if ((rc = seccomp_load(ctx)) != 0) {
		err_errno(e, -rc, "cannot load the system call filter");
		goto out;
	}
	rv = 0;
out:
	seccomp_release(ctx);
	return rv;
}

/* --- all of it ----------------------------------------------------------- */

static int
landlock_enter(const struct sandbox_profile_def *def,
    const struct sandbox_path *paths, size_t npaths, unsigned int flags,
    struct err *e)
{
	if (sandbox_landlock_abi() == 0) {
		if (flags & SANDBOX_F_REQUIRE)
			return err_set(e, ERR_UNSUPPORTED,
			    "this kernel has no Landlock (require-sandbox)");
		log_warn("sandbox",
		    "this kernel has no Landlock, going on without profile=%s",
		    def->name);
		return 0;
	}
	if (flags & SANDBOX_F_NO_LANDLOCK)
		return 0;
	return sandbox_landlock_enter(paths, npaths, e);
}

int
sandbox_enter(enum sandbox_profile profile, const struct sandbox_path *paths,
    size_t npaths, unsigned int flags, struct err *e)
{
	const struct sandbox_profile_def *def = &sandbox_profiles[profile];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_errno(e, errno, "no-new-privileges");
	/* Before the limits: a log is a file, perhaps. */
	if (landlock_enter(def, paths, npaths, flags, e) == -1 ||
	    limits_set(def, e) == -1 || caps_drop(flags, e) == -1 ||
	    seccomp_enter(def, e) == -1)
		return -1;
#ifdef HOLDFAST_SANITIZERS
	sealed = 1;
#endif
	return 0;
}

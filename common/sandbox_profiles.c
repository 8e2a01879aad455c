/*
 * What each process may ask of the kernel: data only.  To allow one more call
 * to one process, add a line to its own set at the end of this file; to see
 * which one it lacks, start it with HOLDFAST_SANDBOX=trap.
 *
 * Filters stay over exec, so a process that starts others has what they need
 * in its own profile.
 */
#include "config.h"

#include "common/sandbox_int.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <sched.h>
#include <stddef.h>

#define INT_MASK 0xffffffffu
#define IF(n, m, v)                                   \
	{                                             \
		.arg = (n), .mask = (m), .value = (v) \
	}
#define ALLOW(call)          \
	{                    \
		.name = call \
	}
#define ALLOW_IF(call, n, m, v)                       \
	{                                             \
		.name = call, .when = { IF(n, m, v) } \
	}
#define ALLOW_EQ(call, n, v) ALLOW_IF(call, n, INT_MASK, v)
#define SOCK_TYPE_MASK 0xfu
#define SOCKET(domain, type)                        \
	{                                           \
		.name = "socket", .when = {         \
			IF(0, INT_MASK, domain),    \
			IF(1, SOCK_TYPE_MASK, type) \
		}                                   \
	}
#define CLONE_NEW_ANY                                                \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	    CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)
#define END                  \
	{                    \
		.name = NULL \
	}

/* Memory, time, signals to itself, descriptors that it has. */
static const struct sandbox_call set_base[] = {
    ALLOW("read"),
    ALLOW("readv"),
    ALLOW("pread64"),
    ALLOW("preadv"),
    ALLOW("write"),
    ALLOW("writev"),
    ALLOW("pwrite64"),
    ALLOW("pwritev"),
    ALLOW("close"),
    ALLOW("close_range"),
    ALLOW("lseek"),
    ALLOW("fstat"),
    /* glibc's fstat() */
    ALLOW_IF("newfstatat", 3, AT_EMPTY_PATH, AT_EMPTY_PATH),
    ALLOW("fstatfs"),
    ALLOW("ftruncate"),
    ALLOW("memfd_create"),
    ALLOW("dup"),
    /* Not F_SETOWN and F_SETSIG: they signal other processes. */
    ALLOW_EQ("fcntl", 1, F_DUPFD),
    ALLOW_EQ("fcntl", 1, F_DUPFD_CLOEXEC),
    ALLOW_EQ("fcntl", 1, F_GETFD),
    ALLOW_EQ("fcntl", 1, F_SETFD),
    ALLOW_EQ("fcntl", 1, F_GETFL),
    ALLOW_EQ("fcntl", 1, F_SETFL),
    ALLOW_EQ("fcntl", 1, F_GET_SEALS),
    ALLOW_EQ("fcntl", 1, F_ADD_SEALS),
    /* Code is only what exec mapped. */
    ALLOW_IF("mmap", 2, PROT_EXEC, 0),
    ALLOW_IF("mprotect", 2, PROT_EXEC, 0),
    ALLOW("munmap"),
    ALLOW("mremap"),
    ALLOW("madvise"),
    ALLOW("brk"),
    ALLOW("futex"),
    ALLOW("membarrier"),
    ALLOW("rseq"),
    ALLOW("sched_yield"),
    ALLOW("sched_getaffinity"),
    ALLOW("getcpu"),
    ALLOW("clock_gettime"),
    ALLOW("clock_getres"),
    ALLOW("clock_nanosleep"),
    ALLOW("nanosleep"),
    ALLOW("gettimeofday"),
    ALLOW("time"),
    ALLOW("times"),
    ALLOW("getrusage"),
    ALLOW("sysinfo"),
    ALLOW("uname"),
    ALLOW("getrandom"),
    ALLOW("getpid"),
    ALLOW("gettid"),
    ALLOW("getppid"),
    ALLOW("getuid"),
    ALLOW("geteuid"),
    ALLOW("getgid"),
    ALLOW("getegid"),
    ALLOW("getrlimit"),
    ALLOW_IF("prlimit64", 2, UINT64_MAX, 0), /* only asks */
    ALLOW_EQ("prctl", 0, PR_SET_NAME),
    ALLOW("rt_sigaction"),
    ALLOW("rt_sigprocmask"),
    ALLOW("rt_sigreturn"),
    ALLOW("sigaltstack"),
    ALLOW("restart_syscall"),
    ALLOW("exit"),
    ALLOW("exit_group"),
#ifdef HOLDFAST_SANITIZERS
    ALLOW("sched_setaffinity"),
    ALLOW("prctl"),
    ALLOW("personality"),
    ALLOW("tgkill"),
    ALLOW_EQ("ioctl", 1, TCGETS),
#endif
    END,
};

/* An event loop over sockets that it has. */
static const struct sandbox_call set_loop[] = {
    ALLOW("poll"),
    ALLOW("ppoll"),
    ALLOW("select"),
    ALLOW("pselect6"),
    ALLOW("epoll_create1"),
    ALLOW("epoll_ctl"),
    ALLOW("epoll_wait"),
    ALLOW("epoll_pwait"),
    ALLOW("epoll_pwait2"),
    ALLOW("eventfd2"),
    ALLOW("timerfd_create"),
    ALLOW("timerfd_settime"),
    ALLOW("pipe2"),
    ALLOW("recvfrom"),
    ALLOW("recvmsg"),
    ALLOW("sendto"),
    ALLOW("sendmsg"),
    ALLOW("shutdown"),
    ALLOW("getsockopt"),
    ALLOW("setsockopt"),
    ALLOW("getsockname"),
    ALLOW("getpeername"),
    ALLOW_EQ("ioctl", 1, FIONREAD),
    ALLOW_EQ("ioctl", 1, FIONBIO),
    END,
};

static const struct sandbox_call set_connect[] = {
    SOCKET(AF_UNIX, SOCK_SEQPACKET),
    ALLOW("connect"),
    END,
};

static const struct sandbox_call set_accept[] = {
    ALLOW("accept"),
    ALLOW("accept4"),
    END,
};

/* syslog and systemd's notifications, each over a datagram socket. */
static const struct sandbox_call set_notify[] = {
    SOCKET(AF_UNIX, SOCK_DGRAM),
    ALLOW("connect"),
    END,
};

static const struct sandbox_call set_threads[] = {
    ALLOW_IF("clone", 0, CLONE_VM | CLONE_THREAD | CLONE_NEW_ANY,
	CLONE_VM | CLONE_THREAD),
    ALLOW("set_robust_list"),
    ALLOW("set_tid_address"),
    END,
};

/* Files; which ones is Landlock's part. */
static const struct sandbox_call set_files[] = {
    ALLOW("open"),
    ALLOW("openat"),
    ALLOW("openat2"),
    ALLOW("stat"),
    ALLOW("lstat"),
    ALLOW("newfstatat"),
    ALLOW("statx"),
    ALLOW("statfs"),
    ALLOW("access"),
    ALLOW("faccessat"),
    ALLOW("faccessat2"),
    ALLOW("readlink"),
    ALLOW("readlinkat"),
    ALLOW("getdents64"),
    ALLOW("getcwd"),
    ALLOW("chdir"),
    ALLOW("fchdir"),
    ALLOW("umask"),
    ALLOW("fsync"),
    ALLOW("fdatasync"),
    ALLOW("syncfs"),
    ALLOW("sync_file_range"),
    ALLOW("msync"),
    ALLOW("fadvise64"),
    ALLOW("flock"),
    ALLOW_EQ("fcntl", 1, F_GETLK),
    ALLOW_EQ("fcntl", 1, F_SETLK),
    ALLOW_EQ("fcntl", 1, F_SETLKW),
    ALLOW_EQ("fcntl", 1, F_OFD_GETLK),
    ALLOW_EQ("fcntl", 1, F_OFD_SETLK),
    END,
};

static const struct sandbox_call set_files_change[] = {
    ALLOW("mkdir"),
    ALLOW("mkdirat"),
    ALLOW("rmdir"),
    ALLOW("unlink"),
    ALLOW("unlinkat"),
    ALLOW("rename"),
    ALLOW("renameat"),
    ALLOW("renameat2"),
    ALLOW("link"),
    ALLOW("linkat"),
    /* Not by path: Landlock has no say in modes and owners. */
    ALLOW("fchmod"),
    ALLOW("fchown"),
    ALLOW("utimensat"),
    ALLOW("fallocate"),
    ALLOW("copy_file_range"),
    END,
};

/* Starting programs and looking after them. */
static const struct sandbox_call set_spawn[] = {
    ALLOW_IF("clone", 0, CLONE_NEW_ANY, 0),
    ALLOW("fork"),
    ALLOW("vfork"),
    ALLOW("execve"),
    ALLOW("wait4"),
    ALLOW("waitid"),
    ALLOW("kill"),
    ALLOW("dup2"),
    ALLOW("dup3"),
    ALLOW("socketpair"),
    END,
};

/* From exec to the child's own sandbox: the loader, locking keys in memory,
 * limits, sealing. */
static const struct sandbox_call set_startup[] = {
    /* The loader's code; never writable and executable at once. */
    ALLOW_IF("mmap", 2, PROT_WRITE, 0),
    ALLOW_IF("mprotect", 2, PROT_WRITE, 0),
    ALLOW("arch_prctl"),
    ALLOW("set_tid_address"),
    ALLOW("set_robust_list"),
    ALLOW("mlock"),
    ALLOW("mlock2"),
    ALLOW("prlimit64"),
    ALLOW("setrlimit"),
    ALLOW("capget"),
    ALLOW("capset"),
    ALLOW_EQ("prctl", 0, PR_SET_NO_NEW_PRIVS),
    ALLOW_EQ("prctl", 0, PR_CAPBSET_READ),
    ALLOW_EQ("prctl", 0, PR_CAPBSET_DROP),
    ALLOW_EQ("prctl", 0, PR_CAP_AMBIENT),
    ALLOW_EQ("prctl", 0, PR_SET_PDEATHSIG),
    ALLOW_EQ("prctl", 0, PR_GET_SECCOMP),
    {.name = "prctl",
	.when = {IF(0, INT_MASK, PR_SET_DUMPABLE), IF(1, UINT64_MAX, 0)}},
    ALLOW("seccomp"),
    ALLOW("landlock_create_ruleset"),
    ALLOW("landlock_add_rule"),
    ALLOW("landlock_restrict_self"),
    ALLOW_EQ("ioctl", 1, TCGETS),
    END,
};

/* The same for children that begin as root: folders and sockets, another root
 * folder, an empty network, another user. */
static const struct sandbox_call set_startup_root[] = {
    ALLOW("bind"),
    ALLOW("listen"),
    ALLOW("chmod"),
    ALLOW("fchmodat"),
    ALLOW("chown"),
    ALLOW("lchown"),
    ALLOW("fchownat"),
    ALLOW("chroot"),
    ALLOW_EQ("unshare", 0, CLONE_NEWNET),
    ALLOW("setgroups"),
    ALLOW("getgroups"),
    ALLOW("setresuid"),
    ALLOW("setresgid"),
    ALLOW("getresuid"),
    ALLOW("getresgid"),
    ALLOW("setuid"),
    ALLOW("setgid"),
    ALLOW("setreuid"),
    ALLOW("setregid"),
    ALLOW("setfsuid"),
    ALLOW("setfsgid"),
    END,
};

/* What a single process has beyond the sets. */
static const struct sandbox_call own_auth[] = {
    ALLOW("pidfd_open"), /* to see a worker end */
    END,
};

static const struct sandbox_call own_validator[] = {
    ALLOW("sched_setaffinity"),
    ALLOW("ioprio_set"),
    END,
};

static const struct sandbox_call own_job[] = {
    ALLOW("setpriority"),
    ALLOW("ioprio_set"),
    END,
};

/* --- limits -------------------------------------------------------------- */

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)
/* Private memory; what is shared with others or a file's does not count. */
#define MEMORY(max)              \
	{                        \
		RLIMIT_DATA, max \
	}
#define FILES(max)                 \
	{                          \
		RLIMIT_NOFILE, max \
	}
/* Counts the user's processes, so only none at all is a limit. */
#define NO_CHILD                \
	{                       \
		RLIMIT_NPROC, 0 \
	}
#define END_LIMITS    \
	{             \
		-1, 0 \
	}

/* The known chunks of the largest base, and its listings as JSON. */
static const struct sandbox_limit limits_worker[] = {
    MEMORY(2 * GIB),
    FILES(1024),
    NO_CHILD,
    END_LIMITS,
};

static const struct sandbox_limit limits_auth[] = {
    MEMORY(1 * GIB),
    END_LIMITS,
};

static const struct sandbox_limit limits_hasher[] = {
    MEMORY(256 * MIB),
    FILES(16),
    {RLIMIT_FSIZE, 0},
    NO_CHILD,
    END_LIMITS,
};

static const struct sandbox_limit limits_checker[] = {
    MEMORY(512 * MIB),
    FILES(32),
    NO_CHILD,
    END_LIMITS,
};

static const struct sandbox_limit limits_job[] = {
    MEMORY(8 * GIB),
    FILES(1024),
    END_LIMITS,
};

/* --- profiles ------------------------------------------------------------ */

const struct sandbox_profile_def sandbox_profiles[SANDBOX_PROFILE_COUNT] = {
    [SANDBOX_MASTER] = {"master",
	{set_base, set_loop, set_connect, set_accept, set_notify, set_files,
	    set_files_change, set_threads, set_spawn, set_startup,
	    set_startup_root, own_auth},
	NULL},
    [SANDBOX_WORKER] = {"worker", {set_base, set_loop, set_connect},
	limits_worker},
    [SANDBOX_AUTH] = {"auth",
	{set_base, set_loop, set_accept, set_notify, set_files,
	    set_files_change, set_threads, set_spawn, set_startup, own_auth},
	limits_auth},
    [SANDBOX_HASHER] = {"hasher", {set_base, set_loop}, limits_hasher},
    [SANDBOX_VALIDATOR] = {"validator",
	{set_base, set_loop, set_accept, set_notify, set_files,
	    set_files_change, set_threads, set_spawn, set_startup,
	    own_validator},
	NULL},
    [SANDBOX_CHECKER] = {"checker", {set_base, set_loop}, limits_checker},
    [SANDBOX_JOB] = {"job",
	{set_base, set_loop, set_files, set_threads, own_job}, limits_job},
};

/* Nothing of ours makes these, whatever the input. */
const char *const sandbox_deadly[] = {
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "add_key",
    "request_key",
    "keyctl",
    "mount",
    "umount2",
    "pivot_root",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "setns",
    "unshare",
    "chroot",
    "open_by_handle_at",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "clock_adjtime",
    "iopl",
    "ioperm",
    "mknod",
    "mknodat",
    "acct",
    "quotactl",
    NULL,
};

#define DATA (SANDBOX_READ | SANDBOX_MAYBE)
#define LOADER (SANDBOX_READ | SANDBOX_EXEC | SANDBOX_MAYBE)

const struct sandbox_path sandbox_system_paths[] = {
    {"/lib", -1, DATA},
    {"/lib64", -1, DATA},
    {"/usr/lib", -1, DATA},
    {"/usr/lib64", -1, DATA},
    {"/usr/local/lib", -1, DATA},
    /* The kernel executes the loader, nobody the libraries. */
    {"/lib64/ld-linux-x86-64.so.2", -1, LOADER},
    {"/lib/ld-linux-aarch64.so.1", -1, LOADER},
    {"/lib/ld-linux-armhf.so.3", -1, LOADER},
    {"/lib/ld-linux-riscv64-lp64d.so.1", -1, LOADER},
    {"/lib/ld64.so.1", -1, LOADER},
    {"/lib64/ld64.so.2", -1, LOADER},
    {"/etc/ld.so.cache", -1, DATA},
    {"/etc/ssl/openssl.cnf", -1, DATA},
    {"/etc/localtime", -1, DATA},
    {"/usr/share/zoneinfo", -1, DATA},
#ifdef HOLDFAST_SANITIZERS
    {"/proc", -1, DATA},
#endif
    {"/proc/sys/vm/overcommit_memory", -1, DATA},
    {"/sys/devices/system/cpu", -1, DATA},
    {"/dev/null", -1, DATA | SANDBOX_WRITE},
    {"/dev/urandom", -1, DATA},
};
const size_t sandbox_system_npaths =
    sizeof(sandbox_system_paths) / sizeof(sandbox_system_paths[0]);

/*
 * The attacks that docs/security.md lists: each does what an attacker would,
 * not what our programs do.  Runs sealed, in the captured builds only.
 */
#include "config.h"

#include "tests/process/captured/captured.h"

#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REFUSED(call) ((call) < 0 ? -1 : 0)

/* A line of the file whose name ends in our user's number. */
static const char *
known_of_user(const char *name)
{
	char full[64];

	snprintf(full, sizeof(full), "%s-%u", name, (unsigned int)getuid());
	return known(full);
}

/* --- files --------------------------------------------------------------- */

static int
may_read(const char *path)
{
	return REFUSED(open(path, O_RDONLY | O_CLOEXEC));
}

static int
read_store(void)
{
	return may_read(known("store"));
}

static int
read_locks(void)
{
	return may_read(known("locks"));
}

static int
read_accounts(void)
{
	return may_read(known("accounts"));
}

static int
read_tls_key(void)
{
	return may_read(known("tls-key"));
}

static int
read_grant_key(void)
{
	return may_read(known("grant-key"));
}

static int
read_passwd(void)
{
	return may_read("/etc/passwd");
}

static int
read_own_file(void)
{
	return may_read(known_of_user("own-file"));
}

static int
stat_file(void)
{
	struct stat st;

	return stat("/", &st);
}

static int
chmod_own_file(void)
{
	return chmod(known_of_user("own-file"), 0777);
}

static int
chown_own_file(void)
{
	return chown(known_of_user("own-file"), getuid(), getgid());
}

static int
create_file(void)
{
	return REFUSED(open(known("create"), O_WRONLY | O_CREAT, 0600));
}

static int
make_device(void)
{
	return mknod(known("create"), S_IFCHR | 0600, 0);
}

static int
link_out(void)
{
	char *from = strdup(known_of_user("own-file"));

	return from == NULL ? -1 : link(from, known("create"));
}

static int
open_by_handle(void)
{
	struct {
		struct file_handle h;
		unsigned char bytes[128];
	} f = {.h = {.handle_bytes = 8}};

	return REFUSED(open_by_handle_at(AT_FDCWD, &f.h, O_RDONLY));
}

/* --- other processes ----------------------------------------------------- */

/* One of our own user, but none of our programs. */
static pid_t
victim(void)
{
	return (pid_t)atoi(known_of_user("victim"));
}

static int
victim_file(const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)victim(), name);
	return REFUSED(open(path, flags | O_CLOEXEC));
}

static int
read_environ(void)
{
	return victim_file("environ", O_RDONLY);
}

static int
write_memory(void)
{
	return victim_file("mem", O_RDWR);
}

static int
trace(void)
{
	return ptrace(PTRACE_ATTACH, victim(), NULL, NULL) == -1 ? -1 : 0;
}

static int
read_memory(void)
{
	char c;
	struct iovec here = {&c, 1}, there = {(void *)stdin, 1};

	return REFUSED(process_vm_readv(victim(), &here, 1, &there, 1, 0));
}

static int
steal_descriptor(void)
{
	int fd = (int)syscall(SYS_pidfd_open, victim(), 0);

	return fd == -1 ? -1 : REFUSED(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static int
signal_victim(void)
{
	return kill(victim(), 0);
}

static int
signal_parent(void)
{
	return kill(getppid(), 0);
}

static int
signal_by_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY);

	return fd == -1 ? -1 : fcntl(fd, F_SETOWN, victim());
}

static int
do_fork(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return REFUSED(pid);
}

static void *
thread_main(void *arg)
{
	return arg;
}

static int
do_thread(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, thread_main, NULL) == 0 &&
		pthread_join(t, NULL) == 0
	    ? 0
	    : -1;
}

static int
exec_shell(void)
{
	execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
	return -1;
}

static int
exec_memory(void)
{
	static char *const argv[] = {(char *)"x", NULL};
	int fd = memfd_create("x", 0);

	if (fd != -1)
		syscall(SYS_execveat, fd, "", argv, argv, AT_EMPTY_PATH);
	return -1;
}

/* --- sockets ------------------------------------------------------------- */

static int
socket_of(int family, int type, int protocol)
{
	return REFUSED(socket(family, type, protocol));
}

static int
tcp(void)
{
	struct sockaddr_in sin = {
	    .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)atoi(known("port"))),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd == -1 ? -1
			: connect(fd, (struct sockaddr *)&sin, sizeof(sin));
}

static int
udp(void)
{
	return socket_of(AF_INET, SOCK_DGRAM, 0);
}

static int
raw_packets(void)
{
	return socket_of(AF_PACKET, SOCK_RAW, 0);
}

static int
netlink(void)
{
	return socket_of(AF_NETLINK, SOCK_RAW, 0);
}

static int
vsock(void)
{
	return socket_of(AF_VSOCK, SOCK_STREAM, 0);
}

static int
connect_unix(int type, const char *name, size_t len)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	if (fd == -1 || len == 0 || len > sizeof(sun.sun_path))
		return -1;
	memcpy(sun.sun_path, name, len);
	return connect(fd, (struct sockaddr *)&sun,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

static int
connect_stream(void)
{
	const char *path = known("stream-socket");

	return connect_unix(SOCK_STREAM, path, strlen(path));
}

static int
connect_seqpacket(void)
{
	const char *path = known("seqpacket-socket");

	return connect_unix(SOCK_SEQPACKET, path, strlen(path));
}

static int
connect_control(void)
{
	const char *path = known("control-socket");

	return connect_unix(SOCK_SEQPACKET, path, strlen(path));
}

static int
connect_abstract(void)
{
	char name[108] = "";
	const char *known_name = known("abstract-socket");

	snprintf(name + 1, sizeof(name) - 1, "%s", known_name);
	return connect_unix(SOCK_SEQPACKET, name, 1 + strlen(known_name));
}

/* --- rights -------------------------------------------------------------- */

static int
become_root(void)
{
	return syscall(SYS_setresuid, 0, 0, 0) == 0 && getuid() == 0 ? 0 : -1;
}

static int
join_group(void)
{
	static const gid_t root = 0;

	return setgroups(1, &root);
}

static int
regain_capability(void)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct all[_LINUX_CAPABILITY_U32S_3];

	memset(all, 0xff, sizeof(all));
	return REFUSED(syscall(SYS_capset, &head, all));
}

static int
new_user_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int
enter_namespace(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY);

	return setns(fd, CLONE_NEWNET);
}

static int
do_chroot(void)
{
	return chroot("/");
}

static int
do_mount(void)
{
	return mount("none", "/", "tmpfs", 0, NULL);
}

static int
raise_limit(void)
{
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

	return setrlimit(RLIMIT_CORE, &all);
}

static int
become_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1 ? -1 : 0;
}

/* --- the kernel's far corners -------------------------------------------- */

static int
writable_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
	    ? -1
	    : 0;
}

static int
use_userfaultfd(void)
{
	return REFUSED(syscall(SYS_userfaultfd, 0));
}

static int
use_io_uring(void)
{
	uint8_t params[256] = {0};

	return REFUSED(syscall(SYS_io_uring_setup, 4, params));
}

static int
use_bpf(void)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY};

	return REFUSED(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int
use_perf(void)
{
	struct perf_event_attr attr = {.size = sizeof(attr)};

	return REFUSED(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int
use_keyring(void)
{
	return REFUSED(syscall(SYS_add_key, "user", "x", "y", 1, -3));
}

static int
load_module(void)
{
	return REFUSED(syscall(SYS_init_module, "", 0, ""));
}

static int
change_clock(void)
{
	struct timespec now = {0};

	return REFUSED(syscall(SYS_clock_settime, CLOCK_REALTIME, &now));
}

static int
change_personality(void)
{
	return REFUSED(personality(ADDR_NO_RANDOMIZE));
}

static int
type_into_terminal(void)
{
	return ioctl(STDERR_FILENO, TIOCSTI, "x");
}

const struct attack attacks[] = {
    {"read-store", read_store},
    {"read-locks", read_locks},
    {"read-accounts", read_accounts},
    {"read-tls-key", read_tls_key},
    {"read-grant-key", read_grant_key},
    {"read-passwd", read_passwd},
    {"read-own-file", read_own_file},
    {"stat", stat_file},
    {"chmod-own-file", chmod_own_file},
    {"chown-own-file", chown_own_file},
    {"create-file", create_file},
    {"make-device", make_device},
    {"link-out", link_out},
    {"open-by-handle", open_by_handle},
    {"read-environ", read_environ},
    {"write-memory", write_memory},
    {"ptrace", trace},
    {"read-memory", read_memory},
    {"steal-descriptor", steal_descriptor},
    {"signal-sibling", signal_victim},
    {"signal-parent", signal_parent},
    {"signal-by-descriptor", signal_by_descriptor},
    {"fork", do_fork},
    {"thread", do_thread},
    {"exec-shell", exec_shell},
    {"exec-memory", exec_memory},
    {"tcp", tcp},
    {"udp", udp},
    {"raw-packets", raw_packets},
    {"netlink", netlink},
    {"vsock", vsock},
    {"connect-stream", connect_stream},
    {"connect-seqpacket", connect_seqpacket},
    {"connect-control", connect_control},
    {"connect-abstract", connect_abstract},
    {"hoard-validator", hoard_validator},
    {"hoard-auth", hoard_auth},
    {"second-signature", second_signature},
    {"become-root", become_root},
    {"join-group", join_group},
    {"regain-capability", regain_capability},
    {"user-namespace", new_user_namespace},
    {"enter-namespace", enter_namespace},
    {"chroot", do_chroot},
    {"mount", do_mount},
    {"raise-limit", raise_limit},
    {"become-dumpable", become_dumpable},
    {"writable-code", writable_code},
    {"userfaultfd", use_userfaultfd},
    {"io-uring", use_io_uring},
    {"bpf", use_bpf},
    {"perf", use_perf},
    {"keyring", use_keyring},
    {"load-module", load_module},
    {"change-clock", change_clock},
    {"personality", change_personality},
    {"type-into-terminal", type_into_terminal},
};
const size_t nattacks = sizeof(attacks) / sizeof(attacks[0]);

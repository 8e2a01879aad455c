/*
 * Loaded into a validator under test (LD_PRELOAD): writes down, in order, each
 * call that changes a file system or makes a change durable, with the data,
 * and each message that it sends (recording.py reads it).  One call at a time,
 * so the order is that in which they took effect.  It can also set the clock.
 *
 * With HOLDFAST_RECORD_CTIME instead: a file's change time is its modification
 * time, which a test can set.
 */
#define _GNU_SOURCE

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../fault_page.h"

#define LOG_LEN ((size_t)1 << 30) /* of addresses */
#define PACKET_TYPE_OFF 6         /* of a message's header (common/ipc.c) */

enum kind {
	CREATE = 1, /* opened with O_CREAT: maybe a new file */
	WRITE,
	SIZE, /* truncated, or made longer */
	MKDIR,
	UNLINK,
	RENAME,
	LINK,
	SYNC_FILE,
	SYNC_ALL,
	SEND,
};

/* The file begins with this; the test reads used and sets the rest. */
struct head {
	uint64_t used;
	uint64_t dev;
	int64_t clock_shift_s;
	uint64_t room;
};

/* Then the records, each followed by two paths and data, padded to 8. */
struct record {
	uint64_t kind;
	uint64_t ino[2]; /* the file, or the folders that the paths begin at */
	uint64_t arg;
	int64_t time_s;
	uint32_t path_len[2];
	uint64_t data_len;
};

static struct head none, *head = &none;
static int fake_ctime;
static pid_t recorded; /* not its children, which begin with a lock held */
static _Thread_local int locked; /* a signal's handler may write, too */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void
record_init(void)
{
	void *p = fault_page("HOLDFAST_RECORD", LOG_LEN);

	fake_ctime = getenv("HOLDFAST_RECORD_CTIME") != NULL;
	recorded = getpid();
	if (p != NULL)
		head = p;
}

/* --- writing down -------------------------------------------------------- */

static uint8_t *
put(uint8_t *to, const void *from, size_t len)
{
	if (len > 0)
		memcpy(to, from, len);
	return to + len;
}

static void
add(const struct record *r, const char *path0, const char *path1,
    const struct iovec *iov, int niov)
{
	size_t len = sizeof(*r) + r->path_len[0] + r->path_len[1] + r->data_len;
	size_t left = r->data_len, n;
	uint8_t *p = (uint8_t *)(head + 1) + head->used;
	int i;

	if (head->used + len + 64 > head->room)
		abort(); /* a log with a hole would prove nothing */
	p = put(p, r, sizeof(*r));
	p = put(p, path0, r->path_len[0]);
	p = put(p, path1, r->path_len[1]);
	for (i = 0; i < niov && left > 0; i++) {
		n = iov[i].iov_len < left ? iov[i].iov_len : left;
		p = put(p, iov[i].iov_base, n);
		left -= n;
	}
	/* The test reads no further than this. */
	__atomic_store_n(&head->used, head->used + ((len + 7) & ~(size_t)7),
	    __ATOMIC_RELEASE);
}

static int64_t
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

static int
look(int fd, const char *path, struct stat *st)
{
	return (int)syscall(SYS_newfstatat, fd, path, st,
	    *path == '\0' ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW);
}

/* The number of an open file or folder on the file system of the test, else
 * 0: paths that begin at the root or the working folder have none. */
static uint64_t
number_of(int fd)
{
	struct stat st;

	if (head == &none || fd < 0 || look(fd, "", &st) == -1 ||
	    st.st_dev != head->dev ||
	    (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return 0;
	return st.st_ino;
}

static void
add_path(enum kind kind, int fd, const char *path, int fd2, const char *path2,
    uint64_t arg)
{
	struct record r = {
	    .kind = kind,
	    .ino = {number_of(fd), number_of(fd2)},
	    .arg = arg,
	    .time_s = now_s(),
	    .path_len = {(uint32_t)strlen(path), (uint32_t)strlen(path2)},
	};

	add(&r, path, path2, NULL, 0);
}

static void
add_file(enum kind kind, int fd, uint64_t arg, const struct iovec *iov,
    int niov, size_t len)
{
	struct record r = {
	    .kind = kind,
	    .ino = {number_of(fd)},
	    .arg = arg,
	    .time_s = now_s(),
	    .data_len = len,
	};

	if (r.ino[0] != 0)
		add(&r, "", "", iov, niov);
}

static int
begin(void)
{
	if (head == &none || locked || getpid() != recorded)
		return 0;
	locked = 1;
	pthread_mutex_lock(&lock);
	return 1;
}

/* Keeps what the call left in errno. */
static void
end(int recording, int saved)
{
	if (recording) {
		pthread_mutex_unlock(&lock);
		locked = 0;
	}
	errno = saved;
}

/* A call that changes names: it is written down if it succeeded. */
#define CHANGES(call, kind, fd, path, fd2, path2, arg)                         \
	do {                                                                   \
		int recording = begin(), rv = (call), saved = errno;           \
		if (recording && rv == 0)                                      \
			add_path((kind), (fd), (path), (fd2), (path2), (arg)); \
		end(recording, saved);                                         \
		return rv;                                                     \
	} while (0)

/* --- names --------------------------------------------------------------- */

static uint64_t
number_at(int fd, const char *path)
{
	struct stat st;

	return look(fd, path, &st) == 0 ? st.st_ino : 0;
}

static int
opened(int recording, int fd, int dir, const char *path, int flags)
{
	int saved = errno;

	if (recording && fd != -1 && (flags & O_CREAT))
		add_path(CREATE, dir, path, -1, "", number_of(fd));
	if (recording && fd != -1 && (flags & O_TRUNC))
		add_file(SIZE, fd, 0, NULL, 0, 0);
	end(recording, saved);
	return fd;
}

#define OPEN_MODE(mode, flags)                     \
	do {                                       \
		va_list ap;                        \
		va_start(ap, flags);               \
		if ((flags)&O_CREAT)               \
			mode = va_arg(ap, mode_t); \
		va_end(ap);                        \
	} while (0)

int
open(const char *path, int flags, ...)
{
	int recording = begin();
	mode_t mode = 0;

	OPEN_MODE(mode, flags);
	return opened(recording, REAL(open)(path, flags, mode), AT_FDCWD, path,
	    flags);
}

int
openat(int dir, const char *path, int flags, ...)
{
	int recording = begin();
	mode_t mode = 0;

	OPEN_MODE(mode, flags);
	return opened(recording, REAL(openat)(dir, path, flags, mode), dir,
	    path, flags);
}

int
mkostemp(char *path, int flags)
{
	int recording = begin();

	return opened(recording, REAL(mkostemp)(path, flags), AT_FDCWD, path,
	    O_CREAT | flags);
}

int
mkdir(const char *path, mode_t mode)
{
	CHANGES(REAL(mkdir)(path, mode), MKDIR, AT_FDCWD, path, -1, "",
	    number_at(AT_FDCWD, path));
}

int
mkdirat(int dir, const char *path, mode_t mode)
{
	CHANGES(REAL(mkdirat)(dir, path, mode), MKDIR, dir, path, -1, "",
	    number_at(dir, path));
}

int
unlink(const char *path)
{
	CHANGES(REAL(unlink)(path), UNLINK, AT_FDCWD, path, -1, "", 0);
}

int
unlinkat(int dir, const char *path, int flags)
{
	CHANGES(REAL(unlinkat)(dir, path, flags), UNLINK, dir, path, -1, "", 0);
}

int
rename(const char *old, const char *new)
{
	CHANGES(REAL(rename)(old, new), RENAME, AT_FDCWD, old, AT_FDCWD, new,
	    0);
}

int
renameat(int from, const char *old, int to, const char *new)
{
	CHANGES(REAL(renameat)(from, old, to, new), RENAME, from, old, to, new,
	    0);
}

int
renameat2(int from, const char *old, int to, const char *new,
    unsigned int flags)
{
	CHANGES(REAL(renameat2)(from, old, to, new, flags), RENAME, from, old,
	    to, new, 0);
}

int
link(const char *old, const char *new)
{
	CHANGES(REAL(link)(old, new), LINK, AT_FDCWD, old, AT_FDCWD, new, 0);
}

/* --- content ------------------------------------------------------------- */

/* n bytes were written, up to the file position or from off on.  A file opened
 * with O_DSYNC is durable at once. */
static ssize_t
written(int recording, ssize_t n, int fd, off_t off, const struct iovec *iov,
    int niov)
{
	int saved = errno;

	if (recording && n > 0 && number_of(fd) != 0) {
		if (off == -1)
			off = lseek(fd, 0, SEEK_CUR) - n;
		add_file(WRITE, fd, (uint64_t)off, iov, niov, (size_t)n);
		if (fcntl(fd, F_GETFL) & O_DSYNC)
			add_file(SYNC_FILE, fd, 0, NULL, 0, 0);
	}
	end(recording, saved);
	return n;
}

ssize_t
write(int fd, const void *buf, size_t len)
{
	struct iovec iov = {(void *)(uintptr_t)buf, len};
	int recording = begin();

	return written(recording, REAL(write)(fd, buf, len), fd, -1, &iov, 1);
}

ssize_t
writev(int fd, const struct iovec *iov, int niov)
{
	int recording = begin();

	return written(recording, REAL(writev)(fd, iov, niov), fd, -1, iov,
	    niov);
}

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t off)
{
	struct iovec iov = {(void *)(uintptr_t)buf, len};
	int recording = begin();

	return written(recording, REAL(pwrite)(fd, buf, len, off), fd, off,
	    &iov, 1);
}

static int
sized(int recording, int rv, int fd, off_t len)
{
	int saved = errno;

	if (recording && rv == 0)
		add_file(SIZE, fd, (uint64_t)len, NULL, 0, 0);
	end(recording, saved);
	return rv;
}

int
ftruncate(int fd, off_t len)
{
	int recording = begin();

	return sized(recording, REAL(ftruncate)(fd, len), fd, len);
}

int
posix_fallocate(int fd, off_t off, off_t len)
{
	int recording = begin(), rv = REAL(posix_fallocate)(fd, off, len);
	struct stat st;

	if (look(fd, "", &st) == 0 && st.st_size > off + len)
		len = st.st_size - off;
	return sized(recording, rv, fd, off + len);
}

static int
synced(int recording, int rv, enum kind kind, int fd)
{
	int saved = errno;

	if (recording && rv == 0)
		add_file(kind, fd, 0, NULL, 0, 0);
	end(recording, saved);
	return rv;
}

int
fsync(int fd)
{
	int recording = begin();

	return synced(recording, REAL(fsync)(fd), SYNC_FILE, fd);
}

int
fdatasync(int fd)
{
	int recording = begin();

	return synced(recording, REAL(fdatasync)(fd), SYNC_FILE, fd);
}

int
syncfs(int fd)
{
	int recording = begin();

	return synced(recording, REAL(syncfs)(fd), SYNC_ALL, fd);
}

/* --- answers ------------------------------------------------------------- */

ssize_t
sendmsg(int fd, const struct msghdr *mh, int flags)
{
	struct record r = {.kind = SEND, .time_s = now_s()};
	int recording = begin();
	uint16_t type;
	ssize_t n;

	/* Before the other side can know of it. */
	if (recording &&
	    mh->msg_iov[0].iov_len >= PACKET_TYPE_OFF + sizeof(type)) {
		memcpy(&type,
		    (uint8_t *)mh->msg_iov[0].iov_base + PACKET_TYPE_OFF,
		    sizeof(type));
		r.arg = type;
		add(&r, "", "", NULL, 0);
	}
	n = REAL(sendmsg)(fd, mh, flags);
	end(recording, errno);
	return n;
}

/* --- clocks -------------------------------------------------------------- */

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rv = REAL(clock_gettime)(clock, ts);

	if (clock == CLOCK_REALTIME)
		ts->tv_sec += head->clock_shift_s;
	return rv;
}

/* The disk's clock is set, too. */
int
futimens(int fd, const struct timespec times[2])
{
	struct timespec ours[2] = {times[0], times[1]};
	int i;

	for (i = 0; i < 2; i++)
		if (ours[i].tv_nsec == UTIME_NOW)
			clock_gettime(CLOCK_REALTIME, &ours[i]);
	return REAL(futimens)(fd, ours);
}

int
fstat(int fd, struct stat *st)
{
	int rv = look(fd, "", st);

	if (rv == 0 && fake_ctime && S_ISREG(st->st_mode))
		st->st_ctim = st->st_mtim;
	return rv;
}

int
fstatat(int fd, const char *restrict path, struct stat *restrict st, int flags)
{
	int rv = (int)syscall(SYS_newfstatat, fd, path, st, flags);

	if (rv == 0 && fake_ctime && S_ISREG(st->st_mode))
		st->st_ctim = st->st_mtim;
	return rv;
}

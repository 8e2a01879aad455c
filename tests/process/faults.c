/*
 * Loaded into a validator under test (LD_PRELOAD): makes the file system slow
 * or broken where and when a test wants it.  The test sets the words of a
 * page that both map (faults.py), so nothing here depends on time.
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fault_page.h"

#define CHUNK_PATH_LEN 69 /* of "abcd/abcd...", a chunk below .chunks */

enum kill_at {
	KILL_NEVER,
	KILL_BEFORE_SYNC,
	KILL_AFTER_SYNC,
	KILL_BEFORE_PUBLISH,
	KILL_AFTER_PUBLISH,
	KILL_AFTER_FSYNC,
};

struct faults {
	atomic_uint hold_check;  /* looks at a chunk wait */
	atomic_uint check_held;  /* this many do */
	atomic_uint check_errno; /* and fail with this */
	atomic_uint hold_sync;
	atomic_uint sync_held;
	atomic_uint sync_errno;
	atomic_uint kill_at;
	atomic_uint published;    /* renameat2() was there */
	atomic_uint looks;        /* at chunks, so far */
	atomic_uint create_errno; /* new chunks fail with this */
	atomic_uint hold_fsync;
	atomic_uint fsync_held;
	atomic_uint hold_rename; /* the first one; the others go on */
	atomic_uint rename_held;
	atomic_uint hold_open; /* files that are called as in `only' */
	atomic_uint open_held;
	char only[64]; /* hold and fail only this chunk, unless empty */
};

static struct faults none, *faults = &none;

__attribute__((constructor)) static void
faults_init(void)
{
	void *p = fault_page("HOLDFAST_FAULTS", sizeof(none));

	if (p != NULL)
		faults = p;
}

static void
hold(atomic_uint *held, atomic_uint *while_set)
{
	const struct timespec pause = {.tv_nsec = 2000000};

	if (atomic_load(while_set) == 0)
		return;
	atomic_fetch_add(held, 1);
	while (atomic_load(while_set) != 0)
		nanosleep(&pause, NULL);
	atomic_fetch_sub(held, 1);
}

/* Only the first one that comes. */
static void
hold_first(atomic_uint *held, atomic_uint *while_set)
{
	unsigned int first = 1;

	if (atomic_compare_exchange_strong(while_set, &first, 2))
		hold(held, while_set);
}

static void
kill_point(enum kill_at at)
{
	if (atomic_load(&faults->kill_at) == at)
		kill(getpid(), SIGKILL); /* raise() is another system call */
}

static int
fail(atomic_uint *why)
{
	errno = (int)atomic_load(why);
	return errno == 0 ? 0 : -1;
}

int
fstatat(int fd, const char *restrict path, struct stat *restrict st, int flags)
{
	static int (*real)(int, const char *, struct stat *, int);

	if (real == NULL)
		real = (int (*)(int, const char *, struct stat *,
		    int))dlsym(RTLD_NEXT, "fstatat");
	if (strlen(path) != CHUNK_PATH_LEN || path[4] != '/')
		return real(fd, path, st, flags);
	atomic_fetch_add(&faults->looks, 1);
	if ((faults->only[0] == '\0' ||
		memcmp(path + 5, faults->only, sizeof(faults->only)) == 0)) {
		hold(&faults->check_held, &faults->hold_check);
		if (fail(&faults->check_errno) == -1)
			return -1;
	}
	return real(fd, path, st, flags);
}

/* A new chunk has a temporary name, which is longer. */
int
openat(int fd, const char *path, int flags, ...)
{
	static int (*real)(int, const char *, int, ...);
	mode_t mode = 0;
	va_list ap;

	if (real == NULL)
		real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT,
		    "openat");
	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if ((flags & O_CREAT) && strlen(path) > CHUNK_PATH_LEN &&
	    path[4] == '/' && fail(&faults->create_errno) == -1)
		return -1;
	return real(fd, path, flags, mode);
}

/* openat2(), for which the C library has no function. */
long
syscall(long number, ...)
{
	static long (*real)(long, ...);
	long arg[6];
	size_t i;
	va_list ap;

	if (real == NULL)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	va_start(ap, number);
	for (i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_openat2 &&
	    strncmp((const char *)arg[1], faults->only, sizeof(faults->only)) ==
		0)
		hold(&faults->open_held, &faults->hold_open);
	return real(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

int
syncfs(int fd)
{
	static int (*real)(int);
	int rv;

	if (real == NULL)
		real = (int (*)(int))dlsym(RTLD_NEXT, "syncfs");
	kill_point(KILL_BEFORE_SYNC);
	hold(&faults->sync_held, &faults->hold_sync);
	if (fail(&faults->sync_errno) == -1)
		return -1;
	rv = real(fd);
	kill_point(KILL_AFTER_SYNC);
	return rv;
}

/* A snapshot is published, or removed, from one folder to another. */
int
renameat2(int from, const char *old, int to, const char *new,
    unsigned int flags)
{
	static int (*real)(int, const char *, int, const char *, unsigned int);
	int rv;

	if (real == NULL)
		real = (int (*)(int, const char *, int, const char *,
		    unsigned int))dlsym(RTLD_NEXT, "renameat2");
	if (from == to)
		return real(from, old, to, new, flags);
	kill_point(KILL_BEFORE_PUBLISH);
	hold_first(&faults->rename_held, &faults->hold_rename);
	rv = real(from, old, to, new, flags);
	kill_point(KILL_AFTER_PUBLISH);
	atomic_store(&faults->published, 1);
	return rv;
}

int
fsync(int fd)
{
	static int (*real)(int);
	int rv;

	if (real == NULL)
		real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	hold(&faults->fsync_held, &faults->hold_fsync);
	rv = real(fd);
	if (atomic_load(&faults->published) != 0)
		kill_point(KILL_AFTER_FSYNC);
	return rv;
}

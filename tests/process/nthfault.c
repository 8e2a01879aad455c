/*
 * Loaded into a validator under test (LD_PRELOAD): the n-th call that changes
 * something below one folder fails, or each call there takes a while.  The
 * test says so in a page that both map (nthfault.py).
 */
#define _GNU_SOURCE

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fault_page.h"

struct page {
	atomic_int left;     /* calls until it fails; 0: never */
	atomic_int error;    /* errno; 0: half of what is written is written */
	atomic_int hit;      /* it did */
	atomic_int delay_ms; /* of each call; -1: until this is changed */
	atomic_int slow;     /* calls that wait now */
};

static struct page none, *page = &none;
static const char *below = "/nowhere";

__attribute__((constructor)) static void
nthfault_init(void)
{
	void *p = fault_page("NTHFAULT_PAGE", sizeof(none));

	if (p == NULL)
		return;
	page = p;
	below = strdup(getenv("NTHFAULT_BELOW"));
}

static int
is_below(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return 0;
	path[n] = '\0';
	return strncmp(path, below, strlen(below)) == 0;
}

/* Every call on the disk begins with it. */
static void
wait_for_disk(int fd)
{
	const struct timespec step = {.tv_nsec = 10 * 1000000};
	int ms = atomic_load(&page->delay_ms), left = ms;

	if (ms == 0 || !is_below(fd))
		return;
	atomic_fetch_add(&page->slow, 1);
	while (atomic_load(&page->delay_ms) == ms && (ms == -1 || left > 0)) {
		nanosleep(&step, NULL);
		left -= 10;
	}
	atomic_fetch_sub(&page->slow, 1);
}

/* 1 if this call is the one; errno is set. */
static int
fails(int fd)
{
	wait_for_disk(fd);
	if (atomic_load(&page->left) <= 0 || !is_below(fd) ||
	    atomic_fetch_sub(&page->left, 1) != 1)
		return 0;
	atomic_store(&page->hit, 1);
	errno = atomic_load(&page->error);
	return 1;
}

ssize_t
write(int fd, const void *buf, size_t len)
{
	if (!fails(fd))
		return REAL(write)(fd, buf, len);
	return errno == 0 && len > 1 ? REAL(write)(fd, buf, len / 2) : -1;
}

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t off)
{
	if (!fails(fd))
		return REAL(pwrite)(fd, buf, len, off);
	return errno == 0 && len > 1 ? REAL(pwrite)(fd, buf, len / 2, off) : -1;
}

int
openat(int fd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
		if (fails(fd))
			return -1;
	} else {
		wait_for_disk(fd);
	}
	return REAL(openat)(fd, path, flags, mode);
}

int
mkdirat(int fd, const char *path, mode_t mode)
{
	return fails(fd) ? -1 : REAL(mkdirat)(fd, path, mode);
}

int
unlinkat(int fd, const char *path, int flags)
{
	return fails(fd) ? -1 : REAL(unlinkat)(fd, path, flags);
}

int
renameat(int from, const char *old, int to, const char *new)
{
	return fails(from) ? -1 : REAL(renameat)(from, old, to, new);
}

int
renameat2(int from, const char *old, int to, const char *new,
    unsigned int flags)
{
	return fails(from) ? -1 : REAL(renameat2)(from, old, to, new, flags);
}

int
fchmod(int fd, mode_t mode)
{
	return fails(fd) ? -1 : REAL(fchmod)(fd, mode);
}

int
ftruncate(int fd, off_t len)
{
	return fails(fd) ? -1 : REAL(ftruncate)(fd, len);
}

int
fsync(int fd)
{
	return fails(fd) ? -1 : REAL(fsync)(fd);
}

int
fdatasync(int fd)
{
	return fails(fd) ? -1 : REAL(fdatasync)(fd);
}

int
syncfs(int fd)
{
	return fails(fd) ? -1 : REAL(syncfs)(fd);
}

/* --- calls that only look ------------------------------------------------ */

ssize_t
read(int fd, void *buf, size_t len)
{
	wait_for_disk(fd);
	return REAL(read)(fd, buf, len);
}

ssize_t
pread(int fd, void *buf, size_t len, off_t off)
{
	wait_for_disk(fd);
	return REAL(pread)(fd, buf, len, off);
}

int
fstatat(int fd, const char *restrict path, struct stat *restrict st, int flags)
{
	wait_for_disk(fd);
	return REAL(fstatat)(fd, path, st, flags);
}

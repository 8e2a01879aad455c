/*
 * Loaded into a validator under test (LD_PRELOAD): the n-th call that changes
 * something below one folder fails.  The test sets n and the error in a page
 * that both map (test_storage_faults.py).
 */
#define _GNU_SOURCE

#include <sys/mman.h>
#include <sys/stat.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault_page.h"

struct page {
	atomic_int left;  /* calls until it fails; 0: never */
	atomic_int error; /* errno; 0: half of what is written is written */
	atomic_int hit;   /* it did */
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

/* 1 if this call is the one; errno is set. */
static int
fails(int fd)
{
	if (atomic_load(&page->left) <= 0 || !is_below(fd) ||
	    atomic_fetch_sub(&page->left, 1) != 1)
		return 0;
	atomic_store(&page->hit, 1);
	errno = atomic_load(&page->error);
	return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

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
	}
	return REAL(openat)(fd, path, flags, mode);
}

int
mkdirat(int fd, const char *path, mode_t mode)
{
	return fails(fd) ? -1 : REAL(mkdirat)(fd, path, mode);
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

/*
 * For libraries under LD_PRELOAD: the C library's own call, and the page of
 * words by which a test tells what shall fail: both map the file that an
 * environment variable names.
 */
#include <sys/mman.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* Looked up once: dlsym() takes a lock, which would hang a forked child. */
#define REAL(name)                                                        \
	({                                                                \
		static __typeof__(&name) real;                            \
		if (real == NULL)                                         \
			real = (__typeof__(real))dlsym(RTLD_NEXT, #name); \
		real;                                                     \
	})

/* NULL if there is none. */
static void *
fault_page(const char *variable, size_t size)
{
	const char *path = getenv(variable);
	int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	void *p;

	if (fd == -1)
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

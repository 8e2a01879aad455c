/*
 * The page of words by which a test tells a library under LD_PRELOAD what
 * shall fail: both map the file that an environment variable names.
 */
#include <sys/mman.h>

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

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

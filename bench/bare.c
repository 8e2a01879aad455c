/*
 * What the bare measurements share.  Run by benchmarks only, on stores that
 * they made.
 */
#include "config.h"

#include "bench/bare.h"

#include <sys/socket.h>

#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/str.h"

#define THREADS_MAX 64
#define FILE_MAX_LEN (1u << 30)

int
bare_open_chunks(const char *store)
{
	char *path = xasprintf("%s/.chunks", store);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		err(1, "%s", path);
	free(path);
	return fd;
}

int
bare_listen(struct sockaddr_in *addr_out)
{
	socklen_t len = sizeof(*addr_out);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*addr_out = (struct sockaddr_in){.sin_family = AF_INET};
	addr_out->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || bind(fd, (struct sockaddr *)addr_out, len) == -1 ||
	    listen(fd, 1) == -1 ||
	    getsockname(fd, (struct sockaddr *)addr_out, &len) == -1)
		err(1, "cannot listen");
	return fd;
}

struct digest *
bare_read_digests(const char *path, size_t *count_out)
{
	struct digest *digests;
	struct err e;
	char *data;
	size_t len;

	if (io_read_file(AT_FDCWD, path, FILE_MAX_LEN, &data, &len, &e) == -1)
		errx(1, "%s", e.msg);
	*count_out = len / sizeof(*digests);
	digests = xmemdup(data, *count_out * sizeof(*digests));
	free(data);
	return digests;
}

double
bare_seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

unsigned int
bare_threads(const char *arg)
{
	uint64_t n;

	return str_to_u64(arg, 1, THREADS_MAX, &n) == 0 ? (unsigned int)n : 0;
}

void
bare_run(unsigned int n, void *(*work)(void *arg))
{
	pthread_t threads[THREADS_MAX];
	unsigned int i;

	for (i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, work, NULL) != 0)
			errx(1, "cannot start a thread");
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/*
 * The system calls behind garbage collection, and nothing else: listing every
 * folder of a store's .chunks, or removing chunks, by some threads.  What
 * bench/gc compares the server with.  Prints the seconds that it took.
 *
 *   bare_list STORE THREADS            lists
 *   bare_list STORE THREADS DIGESTS    removes the chunks of that file, which
 *                                      holds 32 bytes each
 */
#include "config.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/format/digest.h"

#define FOLDERS 65536u
#define THREADS_MAX 64
#define FILE_MAX_LEN (1u << 30)

static int chunks; /* descriptor of .chunks */
static struct digest *digests;
static size_t count;
static atomic_size_t next;
static atomic_size_t seen;

static void *
list(void *arg)
{
	struct dirent *d;
	char name[8];
	size_t i;
	DIR *dir;
	int fd;

	while ((i = atomic_fetch_add(&next, 1)) < FOLDERS) {
		snprintf(name, sizeof(name), "%04x",
		    (unsigned int)i & (FOLDERS - 1));
		fd = openat(chunks, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1 || (dir = fdopendir(fd)) == NULL)
			err(1, "%s", name);
		while ((d = readdir(dir)) != NULL)
			atomic_fetch_add(&seen, 1);
		closedir(dir);
	}
	return arg;
}

static void *
drop(void *arg)
{
	char path[DIGEST_CHUNK_PATH_LEN + 1];
	size_t i;

	while ((i = atomic_fetch_add(&next, 1)) < count) {
		digest_chunk_path(&digests[i], path);
		if (unlinkat(chunks, path, 0) == -1)
			err(1, "%s", path);
	}
	return arg;
}

static void
read_digests(const char *path)
{
	struct err e;
	char *data;
	size_t len;

	if (io_read_file(AT_FDCWD, path, FILE_MAX_LEN, &data, &len, &e) == -1)
		errx(1, "%s", e.msg);
	count = len / sizeof(*digests);
	digests = xmemdup(data, count * sizeof(*digests));
	free(data);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	uint64_t n, i;
	double start;
	char *path;

	if (argc < 3 || argc > 4 ||
	    str_to_u64(argv[2], 1, THREADS_MAX, &n) == -1)
		errx(2, "usage: bare_list STORE THREADS [DIGESTS]");
	path = xasprintf("%s/.chunks", argv[1]);
	if ((chunks = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		err(1, "%s", path);
	free(path);
	if (argc == 4)
		read_digests(argv[3]);
	start = now();
	for (i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, argc == 4 ? drop : list,
			NULL) != 0)
			errx(1, "cannot start a thread");
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("%f\n", now() - start);
	free(digests);
	return 0;
}

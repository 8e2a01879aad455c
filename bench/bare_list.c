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
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bare.h"
#include "common/format/digest.h"

#define FOLDERS 65536u

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

int
main(int argc, char **argv)
{
	unsigned int n;
	double start;

	if (argc < 3 || argc > 4 || (n = bare_threads(argv[2])) == 0)
		errx(2, "usage: bare_list STORE THREADS [DIGESTS]");
	chunks = bare_open_chunks(argv[1]);
	if (argc == 4)
		digests = bare_read_digests(argv[3], &count);
	start = bare_seconds(CLOCK_MONOTONIC);
	bare_run(n, argc == 4 ? drop : list);
	printf("%f\n", bare_seconds(CLOCK_MONOTONIC) - start);
	free(digests);
	return 0;
}

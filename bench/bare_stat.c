/*
 * The system calls behind the check of reused chunks, and nothing else: one
 * fstatat() for each chunk of an index, in the order of their folders, by
 * some threads.  What bench/reuse compares the validator with.  Prints the
 * seconds and the processor seconds that it took.
 *
 *   bare_stat STORE INDEX THREADS
 */
#include "config.h"

#include <err.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/bare.h"
#include "common/err.h"
#include "common/format/index.h"
#include "common/mem.h"

#define BATCH 256

static int chunks; /* descriptor of .chunks */
static struct digest *digests;
static size_t count;
static atomic_size_t next;
static atomic_size_t missing;

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_LEN);
}

static void *
check(void *arg)
{
	char path[DIGEST_CHUNK_PATH_LEN + 1];
	struct stat st;
	size_t i, end;

	while ((i = atomic_fetch_add(&next, BATCH)) < count) {
		end = i + BATCH < count ? i + BATCH : count;
		for (; i < end; i++) {
			digest_chunk_path(&digests[i], path);
			if (fstatat(chunks, path, &st, AT_SYMLINK_NOFOLLOW) ==
				-1 ||
			    !S_ISREG(st.st_mode))
				atomic_fetch_add(&missing, 1);
		}
	}
	return arg;
}

static void
read_index(const char *path)
{
	struct index_entry entry;
	struct index_view v;
	struct err e;
	size_t i;
	int fd = open(path, O_RDONLY);

	if (fd == -1)
		err(1, "%s", path);
	if (index_open_fd(&v, fd, &e) == -1)
		errx(1, "%s: %s", path, e.msg);
	count = v.count;
	digests = xcalloc(count, sizeof(*digests));
	for (i = 0; i < count; i++) {
		if (index_get_entry(&v, i, &entry, &e) == -1)
			errx(1, "%s: %s", path, e.msg);
		digests[i] = entry.digest;
	}
	qsort(digests, count, sizeof(*digests), compare);
}

int
main(int argc, char **argv)
{
	double start, cpu;
	unsigned int n;

	if (argc != 4 || (n = bare_threads(argv[3])) == 0)
		errx(2, "usage: bare_stat STORE INDEX THREADS");
	read_index(argv[2]);
	chunks = bare_open_chunks(argv[1]);
	cpu = bare_seconds(CLOCK_PROCESS_CPUTIME_ID);
	start = bare_seconds(CLOCK_MONOTONIC);
	bare_run(n, check);
	start = bare_seconds(CLOCK_MONOTONIC) - start;
	cpu = bare_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (missing > 0)
		errx(1, "%zu chunks are missing", (size_t)missing);
	printf("%.4f %.4f\n", start, cpu);
	free(digests);
	return 0;
}

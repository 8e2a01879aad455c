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
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/err.h"
#include "common/format/index.h"
#include "common/mem.h"
#include "common/str.h"

#define BATCH 256
#define THREADS_MAX 64

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

static double
seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	double start, cpu;
	uint64_t n, i;
	char *path;

	if (argc != 4 || str_to_u64(argv[3], 1, THREADS_MAX, &n) == -1)
		errx(2, "usage: bare_stat STORE INDEX THREADS");
	read_index(argv[2]);
	path = xasprintf("%s/.chunks", argv[1]);
	chunks = open(path, O_PATH | O_DIRECTORY);
	if (chunks == -1)
		err(1, "%s", path);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	start = seconds(CLOCK_MONOTONIC);
	for (i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, check, NULL) != 0)
			errx(1, "cannot start a thread");
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	start = seconds(CLOCK_MONOTONIC) - start;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (missing > 0)
		errx(1, "%zu chunks are missing", (size_t)missing);
	printf("%.4f %.4f\n", start, cpu);
	free(digests);
	free(path);
	return 0;
}

/*
 * What a verification cannot do without: reading every chunk of a list and its
 * SHA-256, by some threads.  What bench/verify compares the server with.
 * Prints the seconds that it took.
 *
 *   bare_verify STORE THREADS DIGESTS    a file of 32 bytes each; all chunks
 *                                        are plain
 */
#include "config.h"

#include <sys/stat.h>

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
#include "common/format/blob.h"
#include "common/format/digest.h"

#define THREADS_MAX 64
#define FILE_MAX_LEN (1u << 30)

static int chunks; /* descriptor of .chunks */
static struct digest *digests;
static size_t count;
static atomic_size_t next;

static void
check(const struct digest *d, struct digest_ctx *ctx, uint8_t *buf)
{
	char path[DIGEST_CHUNK_PATH_LEN + 1];
	struct digest have;
	struct stat st;
	struct err e;
	int fd;

	digest_chunk_path(d, path);
	if ((fd = openat(chunks, path, O_RDONLY | O_CLOEXEC)) == -1 ||
	    fstat(fd, &st) == -1)
		err(1, "%s", path);
	if (st.st_size < BLOB_HEADER_LEN ||
	    st.st_size > (off_t)BLOB_ENCODED_MAX ||
	    io_pread_full(fd, buf, (size_t)st.st_size, 0, &e) == -1)
		errx(1, "%s: cannot read it", path);
	close(fd);
	digest_of(ctx, buf + BLOB_HEADER_LEN,
	    (size_t)st.st_size - BLOB_HEADER_LEN, &have);
	if (!digest_equal(&have, d))
		errx(1, "%s: wrong digest", path);
}

static void *
work(void *arg)
{
	struct digest_ctx *ctx = digest_ctx_new();
	uint8_t *buf = xmalloc(BLOB_ENCODED_MAX);
	size_t i;

	while ((i = atomic_fetch_add(&next, 1)) < count)
		check(&digests[i], ctx, buf);
	free(buf);
	digest_ctx_free(ctx);
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

	if (argc != 4 || str_to_u64(argv[2], 1, THREADS_MAX, &n) == -1)
		errx(2, "usage: bare_verify STORE THREADS DIGESTS");
	path = xasprintf("%s/.chunks", argv[1]);
	if ((chunks = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		err(1, "%s", path);
	free(path);
	read_digests(argv[3]);
	start = now();
	for (i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, work, NULL) != 0)
			errx(1, "cannot start a thread");
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("%f\n", now() - start);
	free(digests);
	return 0;
}

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
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bare.h"
#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/format/blob.h"
#include "common/format/digest.h"

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

int
main(int argc, char **argv)
{
	unsigned int n;
	double start;

	if (argc != 4 || (n = bare_threads(argv[2])) == 0)
		errx(2, "usage: bare_verify STORE THREADS DIGESTS");
	chunks = bare_open_chunks(argv[1]);
	digests = bare_read_digests(argv[3], &count);
	start = bare_seconds(CLOCK_MONOTONIC);
	bare_run(n, work);
	printf("%f\n", bare_seconds(CLOCK_MONOTONIC) - start);
	free(digests);
	return 0;
}

#ifndef CLIENT_UPLOAD_INT_H
#define CLIENT_UPLOAD_INT_H

#include <pthread.h>
#include <stdint.h>
#include <sys/queue.h>

#include "client/upload.h"
#include "common/err.h"

/*
 * What the threads of one image share.  upload_read.c: reading, hashing and
 * compressing, in threads; upload.c: sending, in the caller's thread.
 */

struct upload;

/* A compressed chunk, in one of UPLOAD_BUFFERS buffers. */
struct piece {
	STAILQ_ENTRY(piece) entry;
	struct upload *u;
	uint8_t *data;
	size_t len;
	uint32_t raw_len;
	uint32_t ref;
};
STAILQ_HEAD(piece_list, piece);

#define CHUNK_NOT_READ UINT32_MAX

struct upload {
	const struct source *src;
	struct known *known;
	struct digest zero; /* of a chunk of zeros */
	uint64_t nchunks;
	size_t cap; /* of each piece's data */
	int wake_fd;

	pthread_mutex_t lock;    /* for all below */
	pthread_cond_t returned; /* a piece became free, or stop */
	struct piece_list unused;
	struct piece_list full;
	uint32_t *refs; /* by chunk, CHUNK_NOT_READ until then */
	uint64_t next;  /* chunk that a thread takes next */
	uint64_t bytes_read;
	struct upload_stats stats;
	int signalled; /* wake_fd was written since the sender looked */
	int stop;
	struct err err; /* of the first thread that failed */
};

/* A thread: until all chunks are taken, or stop. */
void *upload_reader(void *arg);
/* Ends all threads soon; under no lock. */
void upload_stop(struct upload *u);
/* Length of a chunk. */
size_t upload_chunk_len(const struct upload *u, uint64_t index);

#endif

/*
 * The threads of holdfast that read an image: read, recognise zeros, hash,
 * and compress what the server does not have.
 */
#include "config.h"

#include "client/upload_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/known.h"
#include "client/source.h"
#include "common/format/blob.h"
#include "common/format/fixed_index.h"
#include "common/mem.h"

/* What one thread has to itself. */
struct reader {
	struct upload *u;
	struct digest_ctx *hash;
	struct blob_codec *codec;
	uint8_t *raw;
};

size_t
upload_chunk_len(const struct upload *u, uint64_t index)
{
	uint64_t off = index * FIXED_INDEX_CHUNK_SIZE;
	uint64_t left = u->src->size - off;

	return left < FIXED_INDEX_CHUNK_SIZE ? (size_t)left
					     : FIXED_INDEX_CHUNK_SIZE;
}

/* Under the lock. */
static void
wake_sender(struct upload *u)
{
	uint64_t one = 1;

	if (u->signalled || u->wake_fd == -1)
		return;
	u->signalled = 1;
	/* Cannot fail: the counter would have to reach 2^64. */
	if (write(u->wake_fd, &one, sizeof(one)) == -1)
		abort();
}

void
upload_stop(struct upload *u)
{
	pthread_mutex_lock(&u->lock);
	u->stop = 1;
	pthread_cond_broadcast(&u->returned);
	wake_sender(u);
	pthread_mutex_unlock(&u->lock);
}

static void
fail(struct upload *u, const struct err *e)
{
	pthread_mutex_lock(&u->lock);
	if (u->err.code == ERR_OK)
		u->err = *e;
	pthread_mutex_unlock(&u->lock);
	upload_stop(u);
}

static int
take_chunk(struct upload *u, uint64_t *index_out)
{
	int got;

	pthread_mutex_lock(&u->lock);
	got = !u->stop && u->next < u->nchunks;
	if (got)
		*index_out = u->next++;
	pthread_mutex_unlock(&u->lock);
	return got;
}

/* A free buffer, waited for; NULL at the end. */
static struct piece *
take_piece(struct upload *u)
{
	struct piece *p;

	pthread_mutex_lock(&u->lock);
	while ((p = STAILQ_FIRST(&u->unused)) == NULL && !u->stop)
		pthread_cond_wait(&u->returned, &u->lock);
	if (u->stop)
		p = NULL;
	else
		STAILQ_REMOVE_HEAD(&u->unused, entry);
	pthread_mutex_unlock(&u->lock);
	return p;
}

/* Digest of a chunk, with its bytes in r->raw unless they are zeros. */
static int
read_chunk(struct reader *r, uint64_t index, size_t len, struct digest *out,
    int *zero_out, struct err *e)
{
	const struct upload *u = r->u;
	uint64_t off = index * FIXED_INDEX_CHUNK_SIZE;

	*zero_out = source_is_hole(u->src, off, len);
	if (!*zero_out) {
		if (source_read(u->src, off, r->raw, len, e) == -1)
			return -1;
		*zero_out = bytes_are_zero(r->raw, len);
	}
	if (*zero_out && len == FIXED_INDEX_CHUNK_SIZE) {
		*out = u->zero;
		return 0;
	}
	if (*zero_out)
		memset(r->raw, 0, len);
	digest_of(r->hash, r->raw, len, out);
	return 0;
}

static void
note_chunk(struct upload *u, uint64_t index, size_t len, uint32_t ref,
    int is_zero, enum known_claim claim)
{
	pthread_mutex_lock(&u->lock);
	u->refs[index] = ref;
	u->bytes_read += len;
	u->stats.zero += is_zero ? 1 : 0;
	u->stats.reused += claim == KNOWN_CLAIM_REUSED ? 1 : 0;
	wake_sender(u);
	pthread_mutex_unlock(&u->lock);
}

/* Compresses r->raw and queues it for the sender. */
static int
queue_chunk(struct reader *r, size_t len, uint32_t ref, struct err *e)
{
	struct upload *u = r->u;
	struct piece *p = take_piece(u);

	if (p == NULL)
		return 0; /* the end; its reason is known elsewhere */
	p->raw_len = (uint32_t)len;
	p->ref = ref;
	if (blob_encode(r->codec, r->raw, len, true, p->data, u->cap, &p->len,
		e) == -1) {
		pthread_mutex_lock(&u->lock);
		STAILQ_INSERT_TAIL(&u->unused, p, entry);
		pthread_mutex_unlock(&u->lock);
		return -1;
	}
	pthread_mutex_lock(&u->lock);
	STAILQ_INSERT_TAIL(&u->full, p, entry);
	wake_sender(u);
	pthread_mutex_unlock(&u->lock);
	return 0;
}

static int
handle_chunk(struct reader *r, uint64_t index, struct err *e)
{
	size_t len = upload_chunk_len(r->u, index);
	enum known_claim claim;
	struct digest d;
	uint32_t ref;
	int is_zero;

	if (read_chunk(r, index, len, &d, &is_zero, e) == -1 ||
	    known_claim(r->u->known, &d, &claim, &ref, e) == -1)
		return -1;
	note_chunk(r->u, index, len, ref, is_zero, claim);
	if (claim != KNOWN_CLAIM_UPLOAD)
		return 0;
	if (is_zero)
		memset(r->raw, 0, len);
	return queue_chunk(r, len, ref, e);
}

void *
upload_reader(void *arg)
{
	struct reader r = {.u = arg};
	uint64_t index;
	struct err e;

	r.hash = digest_ctx_new();
	r.codec = blob_codec_new();
	r.raw = xmalloc(FIXED_INDEX_CHUNK_SIZE);
	while (take_chunk(r.u, &index)) {
		if (handle_chunk(&r, index, &e) == -1) {
			fail(r.u, &e);
			break;
		}
	}
	digest_ctx_free(r.hash);
	blob_codec_free(r.codec);
	free(r.raw);
	return NULL;
}

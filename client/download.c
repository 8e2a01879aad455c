/*
 * Restoring an image, for holdfast: the caller's thread fetches, threads
 * decode, verify and write.  Distrusts every byte of the server: a chunk has
 * the length and the SHA-256 that the index says, and the index was compared
 * with the manifest before.
 */
#include "config.h"

#include "client/download.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "client/h2.h"
#include "client/http.h"
#include "client/progress.h"
#include "client/target.h"
#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/fixed_index.h"
#include "common/io.h"
#include "common/mem.h"

#define THREADS_MAX 8

enum slot_state {
	SLOT_FREE,
	SLOT_BUSY,    /* asked for, or in a thread's hands */
	SLOT_DECODED, /* waits for its turn to be written */
};

/* A chunk on its way; chunk i uses slot i % DOWNLOAD_SLOTS. */
struct slot {
	STAILQ_ENTRY(slot) entry;
	struct download *d;
	enum slot_state state;
	struct index_entry chunk;
	uint8_t *body; /* owned, as received */
	size_t body_len;
	uint8_t *raw; /* owned, room for decoding */
	size_t raw_cap;
	const uint8_t *data; /* decoded, in body or raw */
};

struct download {
	struct h2 *h;
	const struct index_view *index;
	struct target *out;
	struct digest zero; /* of a chunk of zeros */
	uint8_t *zeros;
	uint64_t asked;   /* chunks asked for */
	uint64_t written; /* in order: chunks written */
	int wake_fd;
	pthread_t threads[THREADS_MAX];
	unsigned int nthreads;

	pthread_mutex_t lock; /* for all below */
	pthread_cond_t filled;
	STAILQ_HEAD(, slot) received;
	struct slot slots[DOWNLOAD_SLOTS];
	uint64_t bytes_done;
	uint64_t chunks_done;
	int stop;
	struct err err;
};

static size_t
slot_len(const struct slot *s)
{
	return (size_t)(s->chunk.end - s->chunk.start);
}

/* Room for the decoded chunk; the index limits its length. */
static int
reserve(struct slot *s, struct err *e)
{
	uint8_t *p;

	if (slot_len(s) <= s->raw_cap)
		return 0;
	p = realloc(s->raw, slot_len(s));
	if (p == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->raw = p;
	s->raw_cap = slot_len(s);
	return 0;
}

static int
decode(struct slot *s, struct blob_codec *codec, struct digest_ctx *hash,
    struct err *e)
{
	struct blob_info info;
	struct digest found;
	size_t len;

	if (reserve(s, e) == -1 ||
	    blob_parse(s->body, s->body_len, &info, e) == -1 ||
	    blob_check_crc(&info, e) == -1 ||
	    blob_decode(codec, &info, s->raw, slot_len(s), &s->data, &len, e) ==
		-1)
		return -1;
	if (len != slot_len(s))
		return err_set(e, ERR_CORRUPT, "it has a wrong length");
	digest_of(hash, s->data, len, &found);
	if (!digest_equal(&found, &s->chunk.digest))
		return err_set(e, ERR_CORRUPT, "its content is wrong");
	return 0;
}

static void
wake_caller(struct download *d)
{
	uint64_t one = 1;

	if (write(d->wake_fd, &one, sizeof(one)) == -1)
		abort(); /* the counter would have to reach 2^64 */
}

/* Under the lock. */
static void
release(struct slot *s)
{
	s->d->bytes_done += slot_len(s);
	s->d->chunks_done++;
	s->state = SLOT_FREE;
	free(s->body);
	s->body = NULL;
}

static int
handle(struct slot *s, struct blob_codec *codec, struct digest_ctx *hash,
    struct err *e)
{
	struct download *d = s->d;
	char hex[DIGEST_HEX_LEN + 1];

	if (decode(s, codec, hash, e) == -1) {
		digest_to_hex(&s->chunk.digest, hex);
		return err_wrap(e, "chunk %s is damaged", hex);
	}
	if (!d->out->in_order &&
	    target_write(d->out, s->chunk.start, s->data, slot_len(s), e) == -1)
		return -1;
	pthread_mutex_lock(&d->lock);
	if (d->out->in_order)
		s->state = SLOT_DECODED;
	else
		release(s);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static struct slot *
take_received(struct download *d)
{
	struct slot *s;

	pthread_mutex_lock(&d->lock);
	while ((s = STAILQ_FIRST(&d->received)) == NULL && !d->stop)
		pthread_cond_wait(&d->filled, &d->lock);
	if (d->stop)
		s = NULL;
	else
		STAILQ_REMOVE_HEAD(&d->received, entry);
	pthread_mutex_unlock(&d->lock);
	return s;
}

static void *
decoder(void *arg)
{
	struct download *d = arg;
	struct blob_codec *codec = blob_codec_new();
	struct digest_ctx *hash = digest_ctx_new();
	struct slot *s;
	struct err e;

	while ((s = take_received(d)) != NULL) {
		if (handle(s, codec, hash, &e) == -1) {
			pthread_mutex_lock(&d->lock);
			if (d->err.code == ERR_OK)
				d->err = e;
			pthread_mutex_unlock(&d->lock);
		}
		wake_caller(d);
	}
	blob_codec_free(codec);
	digest_ctx_free(hash);
	return NULL;
}

/* ---- the caller's thread */

static int
chunk_done(void *ctx, struct h2_reply *reply, struct err *e)
{
	struct slot *s = ctx;
	struct download *d = s->d;

	if (reply == NULL)
		return err_set(e, ERR_UNAVAILABLE,
		    "the server gave up a request");
	if (http_check_status(reply->status, (const char *)reply->body,
		reply->len, e) == -1)
		return -1;
	s->body = reply->body;
	s->body_len = reply->len;
	reply->body = NULL;
	pthread_mutex_lock(&d->lock);
	STAILQ_INSERT_TAIL(&d->received, s, entry);
	pthread_cond_signal(&d->filled);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int
ask(struct download *d, struct slot *s, struct err *e)
{
	char target[32 + DIGEST_HEX_LEN] = "/chunk?digest=";
	struct h2_request q = {.method = "GET",
	    .target = target,
	    .reply_max = BLOB_ENCODED_MAX,
	    .done = chunk_done,
	    .ctx = s};

	digest_to_hex(&s->chunk.digest, target + strlen(target));
	return h2_submit(d->h, &q, e);
}

/* A chunk that need not be fetched. */
static int
is_zero_chunk(const struct download *d, const struct slot *s)
{
	return slot_len(s) == FIXED_INDEX_CHUNK_SIZE &&
	    digest_equal(&s->chunk.digest, &d->zero);
}

static int
start_chunk(struct download *d, struct slot *s, struct err *e)
{
	if (index_get_entry(d->index, d->asked, &s->chunk, e) == -1)
		return -1;
	d->asked++;
	s->state = SLOT_BUSY;
	if (!is_zero_chunk(d, s))
		return ask(d, s, e);
	s->data = d->zeros;
	if (d->out->in_order) {
		s->state = SLOT_DECODED;
		return 0;
	}
	if (target_write(d->out, s->chunk.start, s->data, slot_len(s), e) == -1)
		return -1;
	pthread_mutex_lock(&d->lock);
	release(s);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int
slot_is(struct download *d, struct slot *s, enum slot_state state)
{
	int rv;

	pthread_mutex_lock(&d->lock);
	rv = s->state == state;
	pthread_mutex_unlock(&d->lock);
	return rv;
}

static int
start_chunks(struct download *d, struct err *e)
{
	struct slot *s;

	while (d->asked < d->index->count) {
		s = &d->slots[d->asked % DOWNLOAD_SLOTS];
		if (!slot_is(d, s, SLOT_FREE))
			break;
		if (start_chunk(d, s, e) == -1)
			return -1;
	}
	return 0;
}

static int
write_in_order(struct download *d, struct err *e)
{
	struct slot *s;

	for (;;) {
		s = &d->slots[d->written % DOWNLOAD_SLOTS];
		if (d->written == d->asked || !slot_is(d, s, SLOT_DECODED))
			return 0;
		if (target_write(d->out, s->chunk.start, s->data, slot_len(s),
			e) == -1)
			return -1;
		d->written++;
		pthread_mutex_lock(&d->lock);
		release(s);
		pthread_mutex_unlock(&d->lock);
	}
}

/* Whether all is done; -1 if a thread failed. */
static int
look(struct download *d, struct progress *bar, struct err *e)
{
	uint64_t bytes;
	int rv;

	pthread_mutex_lock(&d->lock);
	rv = d->chunks_done == d->index->count;
	bytes = d->bytes_done;
	if (d->err.code != ERR_OK) {
		*e = d->err;
		rv = -1;
	}
	pthread_mutex_unlock(&d->lock);
	progress_update(bar, bytes, NULL);
	return rv;
}

static int
fetch_all(struct download *d, struct progress *bar, struct err *e)
{
	int rv;

	for (;;) {
		if (start_chunks(d, e) == -1 ||
		    (d->out->in_order && write_in_order(d, e) == -1))
			return -1;
		rv = look(d, bar, e);
		if (rv != 0)
			return rv == 1 ? 0 : -1;
		/* Slots that were just freed are to be used first. */
		if (d->asked < d->index->count &&
		    slot_is(d, &d->slots[d->asked % DOWNLOAD_SLOTS], SLOT_FREE))
			continue;
		if (h2_turn(d->h, d->wake_fd, -1, e) == -1)
			return -1;
	}
}

static int
set_up(struct download *d, struct err *e)
{
	struct digest_ctx *hash = digest_ctx_new();
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t i;
	int rc;

	d->zeros = xcalloc(1, FIXED_INDEX_CHUNK_SIZE);
	digest_of(hash, d->zeros, FIXED_INDEX_CHUNK_SIZE, &d->zero);
	digest_ctx_free(hash);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->filled, NULL);
	STAILQ_INIT(&d->received);
	for (i = 0; i < DOWNLOAD_SLOTS; i++)
		d->slots[i].d = d;
	d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->wake_fd == -1)
		return err_errno(e, errno, "cannot make an eventfd");
	do {
		rc = pthread_create(&d->threads[d->nthreads], NULL, decoder, d);
		if (rc != 0)
			return err_errno(e, rc, "cannot start a thread");
		d->nthreads++;
	} while (d->nthreads < THREADS_MAX && (long)d->nthreads < cpus);
	return 0;
}

static void
tear_down(struct download *d)
{
	size_t i;

	pthread_mutex_lock(&d->lock);
	d->stop = 1;
	pthread_cond_broadcast(&d->filled);
	pthread_mutex_unlock(&d->lock);
	for (i = 0; i < d->nthreads; i++)
		pthread_join(d->threads[i], NULL);
	for (i = 0; i < DOWNLOAD_SLOTS; i++) {
		free(d->slots[i].body);
		free(d->slots[i].raw);
	}
	io_close(&d->wake_fd);
	pthread_cond_destroy(&d->filled);
	pthread_mutex_destroy(&d->lock);
	free(d->zeros);
	free(d);
}

int
download_image(struct h2 *h, const struct index_view *index, struct target *out,
    struct progress *bar, struct err *e)
{
	struct download *d = xcalloc(1, sizeof(*d));
	int rv = -1;

	d->h = h;
	d->index = index;
	d->out = out;
	d->wake_fd = -1;
	if (set_up(d, e) == 0)
		rv = fetch_all(d, bar, e);
	tear_down(d);
	return rv;
}

/*
 * The chunks of a verification (verify_chunks.h).  Runs in holdfast-job: the
 * main thread hands out chunks and learns what became of them, one thread for
 * each checker reads the files into memory that the checker judges them from.
 * What clients made is only copied here, nothing looks into it.
 */
#include "config.h"

#include "validator/jobs/verify_chunks.h"

#include <sys/queue.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/format/blob.h"
#include "validator/jobs/job.h"
#include "validator/jobs/verify_peer.h"
#include "validator/jobs/verify_seen.h"

#define FIRST_SLOT 1 /* slot 0 is for manifests and blobs */
#define THREADS_MAX (JOB_CHECKERS_MAX - FIRST_SLOT)
#define BATCHES_PER_THREAD 4   /* filled, read, judged, finished */
#define BATCH_BYTES (1u << 20) /* a larger chunk goes alone */
#define LATER_MAX 4096         /* references to chunks that are being read */

/* Some chunks for one reader: passing on each by itself would take longer
 * than reading a small one. */
struct batch {
	TAILQ_ENTRY(batch) entry;
	unsigned int n;
	uint64_t bytes; /* expected */
	struct verify_ref refs[CHK_MANY];
	struct verify_verdict verdicts[CHK_MANY];
};
TAILQ_HEAD(batch_list, batch);

struct reader {
	struct verify_chunks *vc;
	struct verify_peer peer;
	unsigned int slot;
	pthread_t thread;
	bool started;
	bool broken; /* its checker ended: the main thread gets another */
};

struct verify_chunks {
	struct job *job;
	int chunks_fd;
	struct verify_seen seen;
	verify_chunk_fn *fn;
	void *arg;
	struct verify_ref *later;
	size_t nlater;
	uint64_t encoded;
	uint64_t plain;

	/* Under the lock: */
	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_cond_t done;
	struct batch_list todo;
	struct batch_list finished;
	bool stop;

	struct batch_list idle; /* the rest is the main thread's */
	struct batch *filling;  /* NULL: none */
	struct batch *batches;
	size_t nbusy; /* todo, being read or finished */
	struct reader readers[THREADS_MAX];
	unsigned int nreaders;
};

/* --- threads --- */

/* How much of a chunk's file was read: 0 or less than all after an error, 0 if
 * there may be more than fits.  Then it is not good, and whatever is not
 * plainly good the validator looks at again. */
static uint32_t
read_chunk(int chunks_fd, const struct digest *digest, uint8_t *dst,
    size_t room)
{
	char path[DIGEST_CHUNK_PATH_LEN + 1];
	ssize_t n;
	int fd;

	digest_chunk_path(digest, path);
	fd = openat(chunks_fd, path,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return 0;
	n = pread(fd, dst, room, 0);
	close(fd);
	return n == -1 || (size_t)n == room ? 0 : (uint32_t)n;
}

static void
read_batch(struct reader *r, const struct batch *b)
{
	unsigned int i;
	uint8_t *dst;
	size_t room;

	for (i = 0; i < b->n; i++) {
		dst = verify_peer_room(&r->peer, &room);
		verify_peer_add(&r->peer, &b->refs[i].digest,
		    read_chunk(r->vc->chunks_fd, &b->refs[i].digest, dst,
			room));
	}
	verify_peer_send(&r->peer, NULL);
}

/* NULL: stop, or if it need not wait, there is none. */
static struct batch *
next_batch(struct reader *r, bool wait)
{
	struct verify_chunks *vc = r->vc;
	struct batch *b = NULL;

	pthread_mutex_lock(&vc->lock);
	while (wait && !vc->stop && (r->broken || TAILQ_EMPTY(&vc->todo)))
		pthread_cond_wait(&vc->work, &vc->lock);
	if (!vc->stop && r->peer.ipc != NULL) {
		b = TAILQ_FIRST(&vc->todo);
		if (b != NULL)
			TAILQ_REMOVE(&vc->todo, b, entry);
	}
	pthread_mutex_unlock(&vc->lock);
	return b;
}

static void
finish_reading(struct reader *r, struct batch *b, bool is_last)
{
	struct verify_chunks *vc = r->vc;

	verify_peer_verdicts(&r->peer, b->n, b->verdicts, NULL);
	pthread_mutex_lock(&vc->lock);
	r->broken = is_last && r->peer.ipc == NULL;
	TAILQ_INSERT_TAIL(&vc->finished, b, entry);
	pthread_cond_signal(&vc->done);
	pthread_mutex_unlock(&vc->lock);
}

/* Reads one batch while the checker judges the one before. */
static void *
reader_main(void *arg)
{
	struct batch *sent = NULL, *b;
	struct reader *r = arg;

	for (;;) {
		b = next_batch(r, sent == NULL);
		if (b == NULL && sent == NULL)
			return NULL;
		if (b != NULL)
			read_batch(r, b);
		if (sent != NULL)
			finish_reading(r, sent, b == NULL);
		sent = b;
	}
}

static int
reader_start(struct reader *r, struct err *e)
{
	int rc;

	if (verify_peer_open(&r->peer, r->vc->job, r->slot, e) == -1)
		return -1;
	rc = pthread_create(&r->thread, NULL, reader_main, r);
	if (rc != 0)
		return err_errno(e, rc, "cannot start a thread");
	r->started = true;
	return 0;
}

static unsigned int
count_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : (unsigned int)n;
}

struct verify_chunks *
verify_chunks_new(struct job *j, struct err *e)
{
	struct verify_chunks *vc = xcalloc(1, sizeof(*vc));
	unsigned int want = count_processors();
	size_t i, n;

	vc->job = j;
	vc->chunks_fd = job_chunks_fd(j);
	verify_seen_init(&vc->seen);
	pthread_mutex_init(&vc->lock, NULL);
	pthread_cond_init(&vc->work, NULL);
	pthread_cond_init(&vc->done, NULL);
	TAILQ_INIT(&vc->todo);
	TAILQ_INIT(&vc->finished);
	TAILQ_INIT(&vc->idle);
	vc->later = xcalloc(LATER_MAX, sizeof(*vc->later));
	n = (size_t)want * BATCHES_PER_THREAD;
	vc->batches = xcalloc(n, sizeof(*vc->batches));
	for (i = 0; i < n; i++)
		TAILQ_INSERT_TAIL(&vc->idle, &vc->batches[i], entry);
	while (vc->nreaders < want) {
		struct reader *r = &vc->readers[vc->nreaders];

		r->vc = vc;
		r->slot = FIRST_SLOT + vc->nreaders++;
		if (reader_start(r, e) == -1) {
			verify_chunks_free(&vc);
			return NULL;
		}
	}
	return vc;
}

void
verify_chunks_free(struct verify_chunks **vcp)
{
	struct verify_chunks *vc = *vcp;
	unsigned int i;

	*vcp = NULL;
	if (vc == NULL)
		return;
	pthread_mutex_lock(&vc->lock);
	vc->stop = true;
	pthread_cond_broadcast(&vc->work);
	pthread_mutex_unlock(&vc->lock);
	for (i = 0; i < vc->nreaders; i++) {
		if (vc->readers[i].started)
			pthread_join(vc->readers[i].thread, NULL);
		verify_peer_close(&vc->readers[i].peer);
	}
	pthread_cond_destroy(&vc->work);
	pthread_cond_destroy(&vc->done);
	pthread_mutex_destroy(&vc->lock);
	verify_seen_fini(&vc->seen);
	free(vc->batches);
	free(vc->later);
	free(vc);
}

/* --- the main thread --- */

void
verify_chunks_on(struct verify_chunks *vc, verify_chunk_fn *fn, void *arg)
{
	vc->fn = fn;
	vc->arg = arg;
}

/* The validator's word. */
static int
doubt(struct verify_chunks *vc, const struct digest *d, struct verify_chunk *c,
    char *text, size_t text_size, struct err *e)
{
	struct msg_JOB_CHUNK_DOUBT msg;
	struct msg_JOB_REPLY reply;

	memcpy(msg.digest, d->b, DIGEST_LEN);
	if (JOB_CALL(vc->job, CHUNK_DOUBT, &msg, &reply, e) == -1)
		return -1;
	if (reply.n0 > JOB_CHUNK_UNKNOWN || reply.n1 > UINT32_MAX)
		return err_set(e, ERR_PROTO, "wrong answer of the validator");
	c->what = (enum job_chunk)reply.n0;
	c->encrypted = c->what == JOB_CHUNK_GOOD &&
	    reply.n2 < BLOB_KIND_COUNT &&
	    blob_kind_encrypted((enum blob_kind)reply.n2);
	c->size = c->what == JOB_CHUNK_GOOD ? (uint32_t)reply.n1 : 0;
	if (c->what == JOB_CHUNK_DAMAGED)
		snprintf(text, text_size, "%.300s, renamed to .%llu.bad",
		    reply.text, (unsigned long long)reply.n1);
	else
		snprintf(text, text_size, "%.300s", reply.text);
	return 0;
}

static int
finish_one(struct verify_chunks *vc, const struct verify_ref *ref,
    const struct verify_verdict *v, struct err *e)
{
	struct verify_chunk c = {JOB_CHUNK_GOOD, v->encrypted, v->size};
	char text[512] = "";

	if (!v->good &&
	    doubt(vc, &ref->digest, &c, text, sizeof(text), e) == -1)
		return -1;
	if (v->good) {
		vc->encoded += v->encoded;
		vc->plain += v->encrypted ? ref->size : v->size;
	}
	verify_seen_set(&vc->seen, &ref->digest, &c);
	return vc->fn(vc->arg, ref, &c, true, text, e);
}

/* 1: all were good, 0: not, -1. */
static int
finish_batch(struct verify_chunks *vc, const struct batch *b, struct err *e)
{
	unsigned int i;
	int rv = 1;

	for (i = 0; i < b->n; i++)
		verify_seen_fetch(&vc->seen, &b->refs[i].digest);
	for (i = 0; i < b->n; i++) {
		if (finish_one(vc, &b->refs[i], &b->verdicts[i], e) == -1)
			return -1;
		if (!b->verdicts[i].good)
			rv = 0;
	}
	return rv;
}

/* Another checker for each that ended. */
static int
mend_readers(struct verify_chunks *vc, struct err *e)
{
	unsigned int i;
	struct reader *r;
	bool broken;

	for (i = 0; i < vc->nreaders; i++) {
		r = &vc->readers[i];
		pthread_mutex_lock(&vc->lock);
		broken = r->broken;
		pthread_mutex_unlock(&vc->lock);
		if (!broken)
			continue;
		if (verify_peer_open(&r->peer, vc->job, r->slot, e) == -1)
			return -1;
		pthread_mutex_lock(&vc->lock);
		r->broken = false;
		pthread_cond_broadcast(&vc->work);
		pthread_mutex_unlock(&vc->lock);
	}
	return 0;
}

/* Waits for a batch and tells of its chunks; then it is idle again. */
static int
wait_one(struct verify_chunks *vc, struct err *e)
{
	struct batch *b;
	int rv;

	if (job_check_stop(vc->job, e) == -1)
		return -1;
	pthread_mutex_lock(&vc->lock);
	while ((b = TAILQ_FIRST(&vc->finished)) == NULL)
		pthread_cond_wait(&vc->done, &vc->lock);
	TAILQ_REMOVE(&vc->finished, b, entry);
	pthread_mutex_unlock(&vc->lock);
	vc->nbusy--;
	rv = finish_batch(vc, b, e);
	TAILQ_INSERT_TAIL(&vc->idle, b, entry);
	if (rv == 0)
		rv = mend_readers(vc, e);
	return rv == -1 ? -1 : 0;
}

static void
pass_on(struct verify_chunks *vc)
{
	struct batch *b = vc->filling;

	if (b == NULL)
		return;
	vc->filling = NULL;
	vc->nbusy++;
	pthread_mutex_lock(&vc->lock);
	TAILQ_INSERT_TAIL(&vc->todo, b, entry);
	pthread_cond_signal(&vc->work);
	pthread_mutex_unlock(&vc->lock);
}

int
verify_chunks_drain(struct verify_chunks *vc, struct err *e)
{
	const struct verify_ref *ref;
	struct verify_chunk c;
	size_t i;

	pass_on(vc);
	while (vc->nbusy > 0)
		if (wait_one(vc, e) == -1)
			return -1;
	for (i = 0; i < vc->nlater; i++) {
		ref = &vc->later[i];
		verify_seen_get(&vc->seen, &ref->digest, &c);
		if (vc->fn(vc->arg, ref, &c, false, "", e) == -1)
			return -1;
	}
	vc->nlater = 0;
	return 0;
}

static int
submit(struct verify_chunks *vc, const struct verify_ref *ref, struct err *e)
{
	struct batch *b;

	if (vc->filling != NULL && vc->filling->bytes + ref->size > BATCH_BYTES)
		pass_on(vc);
	if (vc->filling == NULL) {
		while ((b = TAILQ_FIRST(&vc->idle)) == NULL)
			if (wait_one(vc, e) == -1)
				return -1;
		TAILQ_REMOVE(&vc->idle, b, entry);
		b->n = 0;
		b->bytes = 0;
		vc->filling = b;
	}
	b = vc->filling;
	b->refs[b->n++] = *ref;
	b->bytes += ref->size;
	if (b->n == CHK_MANY || b->bytes >= BATCH_BYTES)
		pass_on(vc);
	return 0;
}

void
verify_chunks_soon(const struct verify_chunks *vc, const struct digest *digest)
{
	verify_seen_fetch(&vc->seen, digest);
}

int
verify_chunks_add(struct verify_chunks *vc, const struct verify_ref *ref,
    struct err *e)
{
	struct verify_chunk c;
	bool fresh;

	if (verify_seen_add(&vc->seen, &ref->digest, &fresh, e) == -1)
		return -1;
	if (fresh)
		return submit(vc, ref, e);
	if (verify_seen_get(&vc->seen, &ref->digest, &c))
		return vc->fn(vc->arg, ref, &c, false, "", e);
	vc->later[vc->nlater++] = *ref;
	return vc->nlater < LATER_MAX ? 0 : verify_chunks_drain(vc, e);
}

void
verify_chunks_stats(const struct verify_chunks *vc, uint64_t *encoded_out,
    uint64_t *plain_out)
{
	*encoded_out = vc->encoded;
	*plain_out = vc->plain;
}

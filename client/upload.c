/*
 * Uploading one image, for holdfast: the sending side.  The readers'
 * compressed chunks go out as they come; the index follows in the order of
 * the image, each entry once the server has its chunk.
 */
#include "config.h"

#include "client/upload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/h2.h"
#include "client/http.h"
#include "client/known.h"
#include "client/progress.h"
#include "client/source.h"
#include "client/upload_int.h"
#include "common/format/blob.h"
#include "common/format/fixed_index.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/sbuf.h"

#define READERS_MAX 8
#define REFS_MAX (UINT64_C(1) << 31) /* 8 EiB in chunks of 4 MiB */
/* A body must stay below 64 KiB (wire-protocol 1.4): 86 bytes an entry. */
#define APPEND_MAX 512
#define APPEND_BODY_MAX 65000
#define TARGET_MAX 512

/* The sender's own state. */
struct sender {
	struct upload u;
	struct h2 *h;
	uint64_t wid;
	struct piece pieces[UPLOAD_BUFFERS];
	pthread_t threads[READERS_MAX];
	unsigned int nthreads;
	uint64_t appended;  /* entries that were sent */
	struct sbuf append; /* the body on its way */
	int appending;
	struct digest_ctx *csum;
};

static void
return_piece(struct upload *u, struct piece *p)
{
	pthread_mutex_lock(&u->lock);
	STAILQ_INSERT_TAIL(&u->unused, p, entry);
	pthread_cond_signal(&u->returned);
	pthread_mutex_unlock(&u->lock);
}

static int
check_reply(const struct h2_reply *reply, struct err *e)
{
	if (reply == NULL)
		return err_set(e, ERR_UNAVAILABLE,
		    "the server gave up a request");
	return http_check_status(reply->status, (const char *)reply->body,
	    reply->len, e);
}

static int
chunk_done(void *ctx, struct h2_reply *reply, struct err *e)
{
	struct piece *p = ctx;
	struct upload *u = p->u;

	if (check_reply(reply, e) == -1)
		return -1;
	known_set_ready(u->known, p->ref);
	u->stats.uploaded++;
	u->stats.uploaded_bytes += p->len;
	return_piece(u, p);
	return 0;
}

static int
send_chunk(struct sender *s, struct piece *p, struct err *e)
{
	struct h2_request q = {.method = "POST",
	    .body = p->data,
	    .body_len = p->len,
	    .content_type = "application/octet-stream",
	    .reply_max = H2_REPLY_MAX,
	    .done = chunk_done,
	    .ctx = p};
	char hex[DIGEST_HEX_LEN + 1];
	struct digest d;
	struct sbuf target;
	int rv;

	known_digest(s->u.known, p->ref, &d);
	digest_to_hex(&d, hex);
	sbuf_init(&target, TARGET_MAX);
	sbuf_add_str(&target, "/fixed_chunk");
	http_add_query(&target, "digest", hex);
	http_add_query_u64(&target, "encoded-size", p->len);
	http_add_query_u64(&target, "size", p->raw_len);
	http_add_query_u64(&target, "wid", s->wid);
	q.target = sbuf_str(&target);
	rv = h2_submit(s->h, &q, e);
	sbuf_fini(&target);
	return rv;
}

/* Sends what the readers queued. */
static int
send_chunks(struct sender *s, struct err *e)
{
	struct piece_list list = STAILQ_HEAD_INITIALIZER(list);
	struct piece *p;
	int rv;

	pthread_mutex_lock(&s->u.lock);
	s->u.signalled = 0;
	STAILQ_CONCAT(&list, &s->u.full);
	rv = s->u.err.code != ERR_OK ? -1 : 0;
	if (rv == -1)
		*e = s->u.err;
	pthread_mutex_unlock(&s->u.lock);
	while (rv == 0 && (p = STAILQ_FIRST(&list)) != NULL) {
		STAILQ_REMOVE_HEAD(&list, entry);
		rv = send_chunk(s, p, e);
	}
	return rv;
}

/* How many entries from the last sent one on could be sent now. */
static uint64_t
entries_ready(struct sender *s)
{
	struct upload *u = &s->u;
	uint64_t i = s->appended;

	pthread_mutex_lock(&u->lock);
	while (i < u->nchunks && i - s->appended < APPEND_MAX &&
	    u->refs[i] != CHUNK_NOT_READ &&
	    known_is_ready(u->known, u->refs[i]))
		i++;
	pthread_mutex_unlock(&u->lock);
	return i - s->appended;
}

static int
append_done(void *ctx, struct h2_reply *reply, struct err *e)
{
	struct sender *s = ctx;

	s->appending = 0;
	return check_reply(reply, e);
}

/* The body for n entries; feeds the checksum too. */
static void
put_entries(struct sender *s, uint64_t n)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct digest d;
	uint64_t i;

	sbuf_fini(&s->append);
	sbuf_init(&s->append, APPEND_BODY_MAX);
	sbuf_add_str(&s->append, "{\"digest-list\":[");
	for (i = 0; i < n; i++) {
		known_digest(s->u.known, s->u.refs[s->appended + i], &d);
		digest_update(s->csum, d.b, sizeof(d.b));
		digest_to_hex(&d, hex);
		sbuf_add_fmt(&s->append, "%s\"%s\"", i > 0 ? "," : "", hex);
	}
	sbuf_add_str(&s->append, "],\"offset-list\":[");
	for (i = 0; i < n; i++)
		sbuf_add_fmt(&s->append, "%s%" PRIu64, i > 0 ? "," : "",
		    (s->appended + i) * FIXED_INDEX_CHUNK_SIZE);
	sbuf_add_fmt(&s->append, "],\"wid\":%" PRIu64 "}", s->wid);
}

/* One request at a time, full ones except for the last. */
static int
send_entries(struct sender *s, struct err *e)
{
	struct h2_request q = {.method = "PUT",
	    .target = "/fixed_index",
	    .content_type = "application/json",
	    .reply_max = H2_REPLY_MAX,
	    .done = append_done,
	    .ctx = s};
	uint64_t n;

	if (s->appending)
		return 0;
	n = entries_ready(s);
	if (n == 0 || (n < APPEND_MAX && s->appended + n < s->u.nchunks))
		return 0;
	put_entries(s, n);
	if (s->append.overflow)
		return err_set(e, ERR_INTERNAL, "request too long");
	s->appended += n;
	s->appending = 1;
	q.body = s->append.data;
	q.body_len = s->append.len;
	return h2_submit(s->h, &q, e);
}

static int
send_all(struct sender *s, struct progress *bar, struct err *e)
{
	uint64_t done;

	while (s->appended < s->u.nchunks || h2_pending(s->h) > 0) {
		if (send_chunks(s, e) == -1 || send_entries(s, e) == -1 ||
		    h2_turn(s->h, s->u.wake_fd, -1, e) == -1)
			return -1;
		pthread_mutex_lock(&s->u.lock);
		done = s->u.bytes_read;
		pthread_mutex_unlock(&s->u.lock);
		progress_update(bar, done, NULL);
	}
	return 0;
}

static int
start_readers(struct sender *s, struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t want = cpus < 1 ? 1 : (uint64_t)cpus;
	int rc;

	if (want > READERS_MAX)
		want = READERS_MAX;
	if (want > s->u.nchunks)
		want = s->u.nchunks;
	while (s->nthreads < want) {
		rc = pthread_create(&s->threads[s->nthreads], NULL,
		    upload_reader, &s->u);
		if (rc != 0)
			return err_errno(e, rc, "cannot start a thread");
		s->nthreads++;
	}
	return 0;
}

static int
set_up(struct sender *s, struct err *e)
{
	struct upload *u = &s->u;
	uint8_t *zeros = xcalloc(1, FIXED_INDEX_CHUNK_SIZE);
	uint64_t i;

	s->csum = digest_ctx_new();
	digest_of(s->csum, zeros, FIXED_INDEX_CHUNK_SIZE, &u->zero);
	free(zeros);
	sbuf_init(&s->append, APPEND_BODY_MAX);
	STAILQ_INIT(&u->unused);
	STAILQ_INIT(&u->full);
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->returned, NULL);
	u->cap = blob_encode_bound(FIXED_INDEX_CHUNK_SIZE);
	for (i = 0; i < UPLOAD_BUFFERS; i++) {
		s->pieces[i].u = u;
		s->pieces[i].data = xmalloc(u->cap);
		STAILQ_INSERT_TAIL(&u->unused, &s->pieces[i], entry);
	}
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->wake_fd == -1)
		return err_errno(e, errno, "cannot make an eventfd");
	u->nchunks = fixed_index_count(u->src->size, FIXED_INDEX_CHUNK_SIZE);
	if (u->nchunks > REFS_MAX)
		return err_set(e, ERR_LIMIT, "%s is too large", u->src->path);
	u->refs = malloc(u->nchunks * sizeof(*u->refs));
	if (u->refs == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	memset(u->refs, 0xff, u->nchunks * sizeof(*u->refs));
	return 0;
}

static void
tear_down(struct sender *s)
{
	unsigned int i;

	upload_stop(&s->u);
	for (i = 0; i < s->nthreads; i++)
		pthread_join(s->threads[i], NULL);
	for (i = 0; i < UPLOAD_BUFFERS; i++)
		free(s->pieces[i].data);
	io_close(&s->u.wake_fd);
	free(s->u.refs);
	sbuf_fini(&s->append);
	digest_ctx_free(s->csum);
	pthread_cond_destroy(&s->u.returned);
	pthread_mutex_destroy(&s->u.lock);
	free(s);
}

/*
 * After a failure the session must not be moved again: requests on their way
 * still point to the buffers, which are gone.
 */
int
upload_image(struct h2 *h, struct known *k, uint64_t wid,
    const struct source *src, struct progress *bar, struct upload_stats *stats,
    struct digest *csum_out, struct err *e)
{
	struct sender *s = xcalloc(1, sizeof(*s));
	int rv = -1;

	s->h = h;
	s->wid = wid;
	s->u.wake_fd = -1;
	s->u.src = src;
	s->u.known = k;
	if (set_up(s, e) == 0 && start_readers(s, e) == 0)
		rv = send_all(s, bar, e);
	if (rv == 0) {
		digest_final(s->csum, csum_out);
		stats->bytes += src->size;
		stats->chunks += s->u.nchunks;
		stats->zero += s->u.stats.zero;
		stats->reused += s->u.stats.reused;
		stats->uploaded += s->u.stats.uploaded;
		stats->uploaded_bytes += s->u.stats.uploaded_bytes;
	}
	tear_down(s);
	return rv;
}

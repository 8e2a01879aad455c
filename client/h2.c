/*
 * HTTP/2 of holdfast, the only file of the client that knows nghttp2.  One
 * thread.  Distrusts the server: nghttp2 checks the protocol, answers are
 * limited in length, and a stream that dies is an error of its request.
 */
#include "config.h"

#include "client/h2.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "client/http.h"
#include "client/tls.h"
#include "common/err.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"

#define WINDOW ((1u << 31) - 1)
#define FRAME_MAX (1u << 20)
#define OUT_SIZE (256u << 10)
#define IN_SIZE (256u << 10)
#define BODY_FIRST 4096

struct stream {
	LIST_ENTRY(stream) entry;
	struct h2_request q; /* strings of it are not used after the start */
	size_t sent;
	int status;
	uint8_t *body;
	size_t len;
	size_t cap;
};

struct h2 {
	struct tls *tls;
	nghttp2_session *ng;
	LIST_HEAD(, stream) streams; /* owned, without an answer yet */
	size_t pending;
	uint8_t *in;
	uint8_t *out; /* frames in front of tls_write() */
	size_t out_len;
	size_t out_sent;
	int write_blocked;
	int failed; /* a callback did: the session is of no use any more */
	struct err cause;
	struct err *why; /* where a callback leaves its reason */
};

/* From inside a callback: the turn ends with what is in h->why.  nghttp2 is
 * not told: it would lose the frame that it has in hand. */
static int
fail(struct h2 *h)
{
	h->failed = 1;
	h->cause = *h->why;
	return 0;
}

static int
err_ng(struct err *e, const char *what, ssize_t rc)
{
	return err_set(e, ERR_UNAVAILABLE, "%s: %s", what,
	    nghttp2_strerror((int)rc));
}

static void
stream_free(struct stream *s)
{
	LIST_REMOVE(s, entry);
	free(s->body);
	free(s);
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *user)
{
	struct stream *s =
	    nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
	uint64_t v;

	(void)flags;
	(void)user;
	if (s != NULL && name_len == 7 && memcmp(name, ":status", 7) == 0 &&
	    str_to_u64_mem((const char *)value, value_len, 100, 599, &v) == 0)
		s->status = (int)v;
	return 0;
}

static int
grow(struct stream *s, size_t len, struct err *e)
{
	size_t cap = s->cap > 0 ? s->cap : BODY_FIRST;
	uint8_t *p;

	if (len > s->q.reply_max - s->len)
		return err_set(e, ERR_LIMIT, "the server's answer is too long");
	while (cap < s->len + len)
		cap *= 2;
	if (cap == s->cap)
		return 0;
	p = realloc(s->body, cap);
	if (p == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->body = p;
	s->cap = cap;
	return 0;
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
    size_t len, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(ng, id);
	struct h2 *h = user;

	(void)flags;
	if (s == NULL || h->failed)
		return 0;
	if (grow(s, len, h->why) == -1)
		return fail(h);
	memcpy(s->body + s->len, data, len);
	s->len += len;
	return 0;
}

static int
on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(ng, id);
	struct h2 *h = user;
	struct h2_reply reply;
	int rv;

	if (s == NULL || h->failed)
		return 0;
	(void)nghttp2_session_set_stream_user_data(ng, id, NULL);
	h->pending--;
	reply.status = s->status;
	reply.body = s->body;
	reply.len = s->len;
	/* With an answer, a reset only says that the rest of the request is
	 * not wanted. */
	rv = s->q.done(s->q.ctx,
	    s->status == 0 || (code != NGHTTP2_NO_ERROR && s->status < 300)
		? NULL
		: &reply,
	    h->why);
	s->body = reply.body;
	stream_free(s);
	return rv == -1 ? fail(h) : 0;
}

static ssize_t
read_body(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t size,
    uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct stream *s = source->ptr;
	size_t n = s->q.body_len - s->sent;

	(void)ng;
	(void)id;
	(void)user;
	if (n > size)
		n = size;
	memcpy(buf, (const uint8_t *)s->q.body + s->sent, n);
	s->sent += n;
	if (s->sent == s->q.body_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int
make_session(struct h2 *h, struct err *e)
{
	nghttp2_session_callbacks *cb;
	int rc;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	rc = nghttp2_session_client_new(&h->ng, cb, h);
	nghttp2_session_callbacks_del(cb);
	return rc == 0 ? 0 : err_ng(e, "cannot start HTTP/2", rc);
}

static int
greet(struct h2 *h, struct err *e)
{
	nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
	    {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, FRAME_MAX},
	    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	};
	int rc;

	rc = nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings,
	    sizeof(settings) / sizeof(settings[0]));
	if (rc == 0)
		rc = nghttp2_session_set_local_window_size(h->ng,
		    NGHTTP2_FLAG_NONE, 0, WINDOW);
	return rc == 0 ? 0 : err_ng(e, "cannot start HTTP/2", rc);
}

/* Gives received bytes to nghttp2, whose callbacks do the rest. */
static int
feed(struct h2 *h, const uint8_t *data, size_t len, struct err *e)
{
	ssize_t rc;

	h->why = e;
	rc = nghttp2_session_mem_recv(h->ng, data, len);
	h->why = NULL;
	if (h->failed)
		return -1;
	return rc < 0 ? err_ng(e, "the server broke HTTP/2", rc) : 0;
}

struct h2 *
h2_new(struct tls *t, const uint8_t *rest, size_t rest_len, struct err *e)
{
	struct h2 *h = xcalloc(1, sizeof(*h));

	h->tls = t;
	LIST_INIT(&h->streams);
	h->in = xmalloc(IN_SIZE);
	h->out = xmalloc(OUT_SIZE);
	if (make_session(h, e) == -1 || greet(h, e) == -1 ||
	    (rest_len > 0 && feed(h, rest, rest_len, e) == -1)) {
		h2_free(h);
		return NULL;
	}
	return h;
}

/* Streams without an answer end without their callback. */
void
h2_free(struct h2 *h)
{
	struct stream *s;

	if (h == NULL)
		return;
	nghttp2_session_del(h->ng);
	while ((s = LIST_FIRST(&h->streams)) != NULL)
		stream_free(s);
	free(h->in);
	free(h->out);
	free(h);
}

#define HEADER(n, v)                                                  \
	{                                                             \
		(uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), \
		    NGHTTP2_NV_FLAG_NONE                              \
	}

int
h2_submit(struct h2 *h, const struct h2_request *q, struct err *e)
{
	const char *type = q->content_type;
	nghttp2_nv headers[] = {
	    HEADER(":method", q->method),
	    HEADER(":scheme", "https"),
	    HEADER(":authority", "localhost:8007"),
	    HEADER(":path", q->target),
	    HEADER("user-agent", "holdfast/" PACKAGE_VERSION),
	    HEADER("content-type", type != NULL ? type : ""),
	};
	nghttp2_data_provider body = {.read_callback = read_body};
	struct stream *s = xcalloc(1, sizeof(*s));
	int32_t id;

	s->q = *q;
	LIST_INSERT_HEAD(&h->streams, s, entry);
	body.source.ptr = s;
	id = nghttp2_submit_request(h->ng, NULL, headers,
	    sizeof(headers) / sizeof(headers[0]) - (type == NULL),
	    q->body_len > 0 ? &body : NULL, s);
	if (id < 0) {
		stream_free(s);
		return err_ng(e, "cannot send a request", id);
	}
	h->pending++;
	return 0;
}

size_t
h2_pending(const struct h2 *h)
{
	return h->pending;
}

/* Fills the output buffer with frames, so that TLS gets large pieces. */
static int
gather(struct h2 *h, struct err *e)
{
	const uint8_t *data;
	ssize_t n;

	h->out_len = h->out_sent = 0;
	h->why = e;
	/* A frame is at most 16 KiB here, whatever the server allows. */
	while (OUT_SIZE - h->out_len > 2 * 16384) {
		n = nghttp2_session_mem_send(h->ng, &data);
		if (n <= 0)
			break;
		if ((size_t)n > OUT_SIZE - h->out_len)
			return err_set(e, ERR_INTERNAL, "frame too long");
		memcpy(h->out + h->out_len, data, (size_t)n);
		h->out_len += (size_t)n;
	}
	h->why = NULL;
	if (h->failed)
		return -1;
	return n < 0 ? err_ng(e, "cannot send", n) : 0;
}

/* Writes until there is nothing more or the socket is full. */
static int
push(struct h2 *h, struct err *e)
{
	ssize_t n;

	h->write_blocked = 0;
	for (;;) {
		if (h->out_sent == h->out_len) {
			if (gather(h, e) == -1)
				return -1;
			if (h->out_len == 0)
				return 0;
		}
		n = tls_write(h->tls, h->out + h->out_sent,
		    h->out_len - h->out_sent, e);
		if (n == TLS_AGAIN) {
			h->write_blocked = 1;
			return 0;
		}
		if (n < 0)
			return -1;
		h->out_sent += (size_t)n;
	}
}

/* Reads once; *got is set if there was something. */
static int
pull(struct h2 *h, int *got, struct err *e)
{
	ssize_t n = tls_read(h->tls, h->in, IN_SIZE, e);

	*got = 0;
	if (n == TLS_AGAIN)
		return 0;
	if (n == 0)
		return err_set(e, ERR_UNAVAILABLE,
		    "the server closed the connection");
	if (n < 0)
		return -1;
	*got = 1;
	return feed(h, h->in, (size_t)n, e);
}

/* Sleeps until the socket or the eventfd has something. */
static int
sleep_until(struct h2 *h, int wake_fd, int timeout_ms, struct err *e)
{
	struct pollfd p[2] = {
	    {.fd = tls_fd(h->tls), .events = POLLIN},
	    {.fd = wake_fd, .events = POLLIN},
	};
	uint64_t count;
	int n;

	if (h->write_blocked)
		p[0].events |= POLLOUT;
	n = poll(p, 2, timeout_ms);
	if (n == -1 && errno != EINTR)
		return err_errno(e, errno, "cannot wait for the server");
	if (n > 0 && (p[1].revents & POLLIN) != 0 &&
	    read(wake_fd, &count, sizeof(count)) == -1 && errno != EAGAIN)
		return err_errno(e, errno, "cannot read the eventfd");
	return 0;
}

int
h2_turn(struct h2 *h, int wake_fd, int timeout_ms, struct err *e)
{
	int got;

	if (h->failed) {
		*e = h->cause;
		return -1;
	}
	if (push(h, e) == -1 || pull(h, &got, e) == -1)
		return -1;
	if (got)
		return 0;
	if (sleep_until(h, wake_fd, timeout_ms, e) == -1)
		return -1;
	return pull(h, &got, e);
}

/* ---- calls that are waited for */

struct call {
	int done;
	int rv;
	uint8_t *body;
	size_t len;
	struct err err;
};

static int
call_done(void *ctx, struct h2_reply *reply, struct err *e)
{
	struct call *c = ctx;

	(void)e;
	c->done = 1;
	if (reply == NULL) {
		c->rv = err_set(&c->err, ERR_UNAVAILABLE,
		    "the server gave no answer");
		return 0;
	}
	c->rv = http_check_status(reply->status, (char *)reply->body,
	    reply->len, &c->err);
	if (c->rv == 0) {
		c->body = reply->body;
		c->len = reply->len;
		reply->body = NULL;
	}
	return 0;
}

int
h2_call(struct h2 *h, const struct h2_request *q, uint8_t **body_out,
    size_t *len_out, struct err *e)
{
	struct h2_request own = *q;
	struct call c = {0};

	own.done = call_done;
	own.ctx = &c;
	if (h2_submit(h, &own, e) == -1)
		return -1;
	while (!c.done)
		if (h2_turn(h, -1, -1, e) == -1)
			return -1;
	if (c.rv == -1) {
		*e = c.err;
		return -1;
	}
	*body_out = c.body;
	*len_out = c.len;
	return 0;
}

int
h2_call_json(struct h2 *h, const char *method, const char *target,
    struct json **out, struct err *e)
{
	struct h2_request q = {.method = method,
	    .target = target,
	    .reply_max = H2_REPLY_MAX};
	struct json *data;
	uint8_t *body = NULL;
	size_t len = 0;

	if (h2_call(h, &q, &body, &len, e) == -1)
		return -1;
	data = http_data((char *)body, len, e);
	free(body);
	if (data == NULL)
		return -1;
	if (out != NULL)
		*out = data;
	else
		json_free(&data);
	return 0;
}

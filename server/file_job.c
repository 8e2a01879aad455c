/*
 * Calls that read files of a snapshot: grant, reader session, a coroutine in
 * it, and its output as the response.  Runs in a worker; what the coroutine
 * parses was made by a client.
 */
#include "config.h"

#include "server/file_job.h"

#include <event2/event.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "common/err.h"
#include "common/grant.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/aclient.h"
#include "server/api.h"
#include "server/api_int.h"
#include "server/coro.h"
#include "server/request.h"
#include "server/vclient.h"

#define LOG_SUB "file"
#define TYPE_BYTES "application/octet-stream"

enum job_wait {
	JOB_WAIT_NOTHING,
	JOB_WAIT_ANSWER, /* of the validator */
	JOB_WAIT_ROOM    /* in the buffer */
};

struct file_job {
	struct request *req; /* NULL: replied whole, or the client gave up */
	struct event_base *base;
	struct aclient_req *grant_req;
	struct vclient *v; /* one session in its life, so not the worker's */
	struct msg_SESSION_OPEN open;
	bool closing; /* the session; its callback is still to come */
	struct event *dispose;

	file_job_fn *fn;
	struct coro *coro; /* NULL: not begun */
	enum job_wait wait;
	bool given_up;
	bool over; /* rv and err are fn's */
	int rv;
	struct err err;

	/* The answer that it waits for. */
	struct vclient_req *asked;
	int answer_rv;
	struct err answer_err;
	int fd;
	uint64_t size;
	uint32_t number;
	enum archive_kind kind;

	/* Its output. */
	const char *type;
	uint64_t len;   /* in all, or RESPONSE_LEN_UNKNOWN */
	uint64_t total; /* written so far */
	uint8_t *buf;   /* FILE_JOB_BUFFER: from out_off to out_len */
	size_t out_off;
	size_t out_len;
	int whole_fd; /* -1, or the response */
	bool streaming;
	bool reading; /* inside of stream_read() */
};

static void job_resume(struct file_job *j);

/* --- the end ------------------------------------------------------------- */

static void
job_on_dispose(evutil_socket_t fd, short what, void *arg)
{
	struct file_job *j = arg;

	(void)fd;
	(void)what;
	vclient_free(j->v);
	coro_free(j->coro);
	event_free(j->dispose);
	io_close(&j->fd);
	io_close(&j->whole_fd);
	mem_wipe_free(j->buf, FILE_JOB_BUFFER);
	free(j);
}

/* From the loop, since a callback of its vclient may be what ended it. */
static void
job_check_end(struct file_job *j)
{
	if (j->req == NULL && !j->closing && (j->coro == NULL || j->over))
		event_active(j->dispose, EV_TIMEOUT, 0);
}

static void
job_on_closed(void *arg)
{
	struct file_job *j = arg;

	j->closing = false;
	if (!j->over && j->wait == JOB_WAIT_ANSWER)
		job_resume(j);
	job_check_end(j);
}

static void
job_close_session(struct file_job *j, const char *text)
{
	struct msg_SESSION_CLOSE m = {.clean = 1};

	if (j->v == NULL || j->closing)
		return;
	snprintf(m.text, sizeof(m.text), "%s", text);
	j->closing = true;
	vclient_session_close(j->v, &m, job_on_closed, j);
}

/* The request is done with: all that waits fails. */
static void
job_give_up(struct file_job *j)
{
	j->req = NULL;
	j->given_up = true;
	if (j->grant_req != NULL)
		aclient_cancel(j->grant_req);
	j->grant_req = NULL;
	if (j->asked != NULL)
		vclient_cancel(j->asked);
	j->asked = NULL;
	if (j->coro != NULL && !j->over) {
		job_close_session(j, "the client gave up");
		job_resume(j);
	}
	job_check_end(j);
}

static void
job_cancel(struct request *req)
{
	job_give_up(req->state);
}

/* --- the response -------------------------------------------------------- */

static ssize_t
stream_read(void *arg, void *buf, size_t len, struct err *e)
{
	struct file_job *j = arg;
	size_t n;

	if (j->out_off == j->out_len && !j->over && j->wait == JOB_WAIT_ROOM) {
		j->reading = true;
		job_resume(j);
		j->reading = false;
	}
	/* The last bytes stay until the session is closed. */
	if (!j->over && j->wait != JOB_WAIT_ROOM)
		return RESPONSE_WAIT;
	n = MIN(len, j->out_len - j->out_off);
	memcpy(buf, j->buf + j->out_off, n);
	j->out_off += n;
	if (n > 0)
		return (ssize_t)n;
	if (!j->over)
		return RESPONSE_WAIT;
	if (j->rv == 0)
		return 0;
	*e = j->err;
	return -1;
}

static void
stream_free(void *arg)
{
	job_give_up(arg);
}

static const struct response_stream job_stream = {
    .read = stream_read,
    .free = stream_free,
};

static struct request *
job_take_request(struct file_job *j)
{
	struct request *req = j->req;

	req->state = NULL;
	req->cancel = NULL;
	return req;
}

static void
job_reply_err(struct file_job *j, const struct err *e)
{
	struct request *req = job_take_request(j);

	j->req = NULL;
	/* 404 would say that the call itself does not exist here. */
	if (err_http_status(e->code) == 404)
		request_reply_text(req, 400, e->msg);
	else
		request_reply_err(req, e);
	job_check_end(j);
}

static void
job_reply(struct file_job *j)
{
	struct request *req;
	int fd = j->whole_fd;

	if (j->over && j->rv == -1) {
		job_reply_err(j, &j->err);
		return;
	}
	req = job_take_request(j);
	if (fd != -1) {
		j->whole_fd = -1;
		j->req = NULL;
		request_reply_fd(req, fd, j->len);
		return;
	}
	if (j->over)
		j->len = j->total;
	j->streaming = true;
	request_reply_stream(req, j->type, j->len, &job_stream, j);
}

/* --- the coroutine ------------------------------------------------------- */

/* 0 when what it waited for is there; -1 if the client gave up. */
static int
job_wait(struct file_job *j, enum job_wait what, struct err *e)
{
	if (!j->given_up) {
		j->wait = what;
		coro_yield(j->coro);
		j->wait = JOB_WAIT_NOTHING;
	}
	return j->given_up ? err_set(e, ERR_ABORTED, "the client gave up") : 0;
}

static void
job_main(void *arg)
{
	struct file_job *j = arg;
	struct err e;

	j->rv = j->fn(j, &j->err);
	if (j->rv == 0 && j->whole_fd == -1 && j->len != RESPONSE_LEN_UNKNOWN &&
	    j->total != j->len)
		j->rv = err_set(&j->err, ERR_CORRUPT,
		    "file is shorter than announced");
	job_close_session(j, j->rv == 0 ? "" : j->err.msg);
	while (j->closing && job_wait(j, JOB_WAIT_ANSWER, &e) == 0)
		continue;
	j->over = true;
}

static void
job_resume(struct file_job *j)
{
	coro_resume(j->coro);
	if (j->req == NULL)
		return;
	if (!j->streaming && (j->over || j->wait == JOB_WAIT_ROOM))
		job_reply(j);
	else if (j->streaming && !j->reading)
		j->req->ops->more(j->req);
	job_check_end(j);
}

static void
job_on_answer(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct file_job *j = arg;

	j->asked = NULL;
	j->answer_rv = r != NULL ? 0 : -1;
	if (r == NULL) {
		j->answer_err = *e;
	} else {
		j->fd = r->fd;
		r->fd = -1;
		if (r->type == MSG_ID_FILE_READY) {
			j->size = r->file_ready->size;
			j->number = r->file_ready->file;
			j->kind = (enum archive_kind)r->file_ready->kind;
		} else
			j->size = r->chunk_ready->size;
	}
	job_resume(j);
}

/* After asking: the descriptor that came, or -1. */
static int
job_await_fd(struct file_job *j, struct err *e)
{
	int fd;

	if (job_wait(j, JOB_WAIT_ANSWER, e) == -1)
		return -1;
	if (j->answer_rv == -1) {
		*e = j->answer_err;
		return -1;
	}
	fd = j->fd;
	j->fd = -1;
	return fd;
}

const struct request *
file_job_request(const struct file_job *j)
{
	return j->req;
}

int
file_job_open(struct file_job *j, const char *name, struct file_job_file *out,
    struct err *e)
{
	struct msg_FILE_OPEN m = {0};

	out->fd = -1;
	if (archive_name_parse(name, &out->kind, NULL) == -1)
		return err_set(e, ERR_INVALID,
		    "unknown archive type: \"%.100s\"", name);
	snprintf(m.name, sizeof(m.name), "%s", name);
	if (!j->given_up)
		j->asked = vclient_file_open(j->v, &m, job_on_answer, j);
	out->fd = job_await_fd(j, e);
	out->number = j->number;
	out->kind = j->kind;
	out->size = j->size;
	return out->fd == -1 ? -1 : 0;
}

int
file_job_open_chunk(struct file_job *j, uint32_t number, uint32_t position,
    const uint8_t digest[32], int *fd_out, uint64_t *size_out, struct err *e)
{
	struct msg_CHUNK_OPEN m = {.file = number, .position = position};

	memcpy(m.digest, digest, sizeof(m.digest));
	if (!j->given_up)
		j->asked = vclient_chunk_open(j->v, &m, job_on_answer, j);
	*fd_out = job_await_fd(j, e);
	*size_out = j->size;
	return *fd_out == -1 ? -1 : 0;
}

void
file_job_set_type(struct file_job *j, const char *type)
{
	j->type = type;
}

void
file_job_set_len(struct file_job *j, uint64_t len)
{
	j->len = len;
}

int
file_job_write(void *arg, const void *p, size_t len, struct err *e)
{
	struct file_job *j = arg;
	const uint8_t *bytes = p;
	size_t n;

	if (j->len != RESPONSE_LEN_UNKNOWN && len > j->len - j->total)
		return err_set(e, ERR_CORRUPT, "file is longer than announced");
	for (; len > 0; bytes += n, len -= n) {
		while (j->out_len == FILE_JOB_BUFFER) {
			if (job_wait(j, JOB_WAIT_ROOM, e) == -1)
				return -1;
			if (j->out_off == j->out_len)
				j->out_off = j->out_len = 0;
		}
		n = MIN(len, FILE_JOB_BUFFER - j->out_len);
		memcpy(j->buf + j->out_len, bytes, n);
		j->out_len += n;
		j->total += n;
	}
	return 0;
}

void
file_job_send_fd(struct file_job *j, int fd, uint64_t len)
{
	j->whole_fd = fd;
	j->len = len;
}

/* --- the beginning ------------------------------------------------------- */

static void
job_on_aborted(void *arg, const struct err *why)
{
	(void)arg; /* what waits fails with it, and so does what follows */
	log_warn_e(LOG_SUB, why, "session aborted");
}

static void
job_on_opened(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct file_job *j = arg;
	const struct vclient_session_cb cb = {
	    .aborted = job_on_aborted,
	    .arg = j,
	};

	j->asked = NULL;
	if (r == NULL) {
		job_reply_err(j, e);
		return;
	}
	vclient_session_attach(j->v, &cb);
	j->coro = coro_new(job_main, j);
	job_resume(j);
}

static void
job_on_grant(void *arg, const struct aclient_reply *r, const struct err *e)
{
	struct file_job *j = arg;
	struct api *api = j->req->app;

	j->grant_req = NULL;
	if (r == NULL) {
		job_reply_err(j, e);
		return;
	}
	j->v = vclient_new(j->base, api->validator_path);
	j->open.grant = r->grant.grant;
	j->open.grant_len = r->grant.grant_len;
	j->asked = vclient_session_open(j->v, &j->open, job_on_opened, j);
}

void
file_job_start(struct request *req, file_job_fn *fn)
{
	struct msg_GRANT_GET m = {.purpose = GRANT_PURPOSE_READER};
	struct api *api = req->app;
	struct file_job *j = xcalloc(1, sizeof(*j));

	j->req = req;
	j->base = api->base;
	j->fn = fn;
	j->fd = j->whole_fd = -1;
	j->type = TYPE_BYTES;
	j->len = RESPONSE_LEN_UNKNOWN;
	j->buf = xmalloc(FILE_JOB_BUFFER);
	j->dispose = event_new(api->base, -1, 0, job_on_dispose, j);
	if (j->dispose == NULL)
		fatal(LOG_SUB, "cannot make an event");
	req->state = j;
	req->cancel = job_cancel;
	j->open.kind = SESSION_KIND_READER;
	j->open.flags = SESSION_FLAG_CALL;
	api_fill_open(&j->open, req);
	api_copy(m.store, sizeof(m.store), j->open.store);
	api_copy(m.ns, sizeof(m.ns), j->open.ns);
	j->grant_req = aclient_grant_get(api->auth, &m, job_on_grant, j);
}

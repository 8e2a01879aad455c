/*
 * Calls on snapshots (wire-protocol 3.4).  Runs in a worker; parameters were
 * checked by their schema, rights are the validator's affair.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/blob.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "server/api_int.h"
#include "server/render.h"

static void
call(struct request *req, enum call_op op, api_render_fn *render)
{
	struct api_call c;

	api_call_init(&c, req, op, render);
	api_call_start(req, &c);
}

static struct json *
snapshots(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	return render_snapshots(a->recs, a->recs_len, e);
}

void
api_snapshots(struct request *req)
{
	call(req, CALL_SNAP_LIST, snapshots);
}

void
api_snap_delete(struct request *req)
{
	call(req, CALL_SNAP_DELETE, NULL);
}

static struct json *
files(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	return render_files(a->recs, a->recs_len, e);
}

void
api_files(struct request *req)
{
	call(req, CALL_SNAP_FILES, files);
}

static struct json *
notes(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	return render_notes(a->recs, a->recs_len, e);
}

void
api_notes_get(struct request *req)
{
	call(req, CALL_SNAP_NOTES_GET, notes);
}

static struct json *
is_protected(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	(void)e;
	return json_new_bool(a->n0 != 0);
}

void
api_protected_get(struct request *req)
{
	call(req, CALL_PROTECTED_GET, is_protected);
}

void
api_protected_set(struct request *req)
{
	struct api_call c;

	api_call_init(&c, req, CALL_PROTECTED_SET, NULL);
	c.msg.n0 = params_bool(&req->params, "protected", 0) ? 1 : 0;
	api_call_start(req, &c);
}

/* --- the log of a backup job --------------------------------------------- */

struct log_upload {
	uint8_t *data;
	size_t len;
	size_t cap;
};

static void
log_upload_free(struct request *req)
{
	struct log_upload *up = req->state;

	free(up->data);
	free(up);
	req->state = NULL;
	req->cancel = NULL;
}

static void
log_upload_data(struct request *req, const uint8_t *p, size_t len)
{
	struct log_upload *up = req->state;

	if (len > BLOB_ENCODED_MAX - up->len) {
		log_upload_free(req);
		request_reply_text(req, 400, "backup log is too large");
		return;
	}
	if (up->len + len > up->cap) {
		up->cap = 2 * (up->len + len);
		up->data = xreallocarray(up->data, up->cap, 1);
	}
	memcpy(up->data + up->len, p, len);
	up->len += len;
}

/* The checker is not asked for this one: whoever reads a log checks it
 * anyway, and the worker's word concerns its own client's log only. */
static int
log_upload_check(const struct log_upload *up, struct err *e)
{
	struct blob_info info;

	return blob_parse(up->data, up->len, &info, e) == -1
	    ? -1
	    : blob_check_crc(&info, e);
}

static void
log_upload_end(struct request *req)
{
	struct log_upload *up = req->state;
	struct api_call c;
	struct err e = {0};

	api_call_init(&c, req, CALL_LOG_UPLOAD, NULL);
	if (log_upload_check(up, &e) == 0)
		c.data_fd = io_memfd_data("log", up->data, up->len, &e);
	log_upload_free(req);
	if (c.data_fd == -1)
		request_reply_err(req, &e);
	else
		api_call_start(req, &c);
}

void
api_upload_log(struct request *req)
{
	static const struct request_sink sink = {
	    .data = log_upload_data,
	    .end = log_upload_end,
	};

	req->state = xcalloc(1, sizeof(struct log_upload));
	req->cancel = log_upload_free;
	req->sink = &sink;
}

/*
 * Management calls: a grant from auth, then the call to the validator, which
 * alone decides what is allowed.  Runs in a worker.
 */
#include "config.h"

#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/snapshot.h"
#include "common/grant.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "server/aclient.h"
#include "server/api.h"
#include "server/api_int.h"
#include "server/vclient.h"

/* More than any listing of a store that one client could look at. */
#define API_RECORDS_MAX (UINT64_C(4) << 30)

struct api_running {
	struct api_call call;
	struct aclient_req *grant_req;
	struct vclient_req *call_req;
};

void
api_call_init(struct api_call *c, struct request *req, enum call_op op,
    api_render_fn *render)
{
	const struct params *p = &req->params;
	const char *type = params_str(p, "backup-type", NULL);
	enum backup_type t;

	memset(c, 0, sizeof(*c));
	c->data_fd = -1;
	c->render = render;
	c->msg.op = (uint16_t)op;
	c->msg.type = IPC_TYPE_ANY;
	c->msg.time = params_int(p, "backup-time", 0);
	if (type != NULL && backup_type_parse(type, &t, NULL) == 0)
		c->msg.type = (uint8_t)t;
	api_copy(c->msg.store, sizeof(c->msg.store),
	    params_str(p, "store", ""));
	api_copy(c->msg.ns, sizeof(c->msg.ns), params_str(p, "ns", ""));
	api_copy(c->msg.id, sizeof(c->msg.id), params_str(p, "backup-id", ""));
}

static void
api_running_free(struct request *req)
{
	struct api_running *run = req->state;

	io_close(&run->call.data_fd);
	free(run);
	req->state = NULL;
	req->cancel = NULL;
}

static void
api_cancel(struct request *req)
{
	struct api_running *run = req->state;

	aclient_cancel(run->grant_req);
	if (run->call_req != NULL)
		vclient_cancel(run->call_req);
	api_running_free(req);
}

/* --- the answer ---------------------------------------------------------- */

static void
api_reply(struct request *req, const struct api_answer *a)
{
	struct api_running *run = req->state;
	struct json *data = NULL;
	struct err e = {0};
	enum api_form form = run->call.form;
	int failed = 0;

	if (run->call.render != NULL) {
		data = run->call.render(req, a, &e);
		failed = data == NULL;
	}
	api_running_free(req);
	if (failed)
		request_reply_err(req, &e);
	else if (form == API_ENVELOPE)
		request_reply_envelope(req, data);
	else if (form == API_DATA)
		request_reply_json(req, data);
	else {
		request_reply_text(req, 200, json_str(data));
		json_free(&data);
	}
}

void *
api_map(int fd, uint64_t size, int *ok_out)
{
	void *map;

	*ok_out = 1;
	if (size == 0)
		return NULL;
	map = size <= API_RECORDS_MAX
	    ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0)
	    : MAP_FAILED;
	if (map != MAP_FAILED)
		return map;
	*ok_out = 0;
	return NULL;
}

static void
api_reply_records(struct request *req, const struct msg_CALL_RECORDS *m, int fd)
{
	struct api_answer a = {.n0 = m->n0,
	    .n1 = m->n1,
	    .n2 = m->n2,
	    .text = ""};
	void *map;
	int ok;

	map = api_map(fd, m->size, &ok);
	if (!ok) {
		api_running_free(req);
		request_reply_text(req, 500, "cannot read the answer");
		return;
	}
	a.recs = map;
	a.recs_len = m->size;
	api_reply(req, &a);
	if (map != NULL)
		munmap(map, m->size);
}

static void
api_on_answer(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct request *req = arg;
	struct api_answer a = {0};

	((struct api_running *)req->state)->call_req = NULL;
	if (r == NULL) {
		api_running_free(req);
		/* 404 would say that the call itself does not exist here. */
		if (err_http_status(e->code) == 404)
			request_reply_text(req, 400, e->msg);
		else
			request_reply_err(req, e);
		return;
	}
	if (r->type == MSG_ID_CALL_RECORDS) {
		api_reply_records(req, r->call_records, r->fd);
		return;
	}
	a.n0 = r->call_reply->n0;
	a.n1 = r->call_reply->n1;
	a.n2 = r->call_reply->n2;
	a.text = r->call_reply->text;
	api_reply(req, &a);
}

/* --- grant and call ------------------------------------------------------ */

static void
api_on_grant(void *arg, const struct aclient_reply *r, const struct err *e)
{
	struct request *req = arg;
	struct api *api = req->app;
	struct api_running *run = req->state;
	int fd = run->call.data_fd;

	run->grant_req = NULL;
	if (r == NULL) {
		api_running_free(req);
		request_reply_err(req, e);
		return;
	}
	run->call.msg.grant = r->grant.grant;
	run->call.msg.grant_len = r->grant.grant_len;
	run->call.data_fd = -1;
	run->call_req = vclient_call(api->validator, &run->call.msg, fd,
	    api_on_answer, req);
}

void
api_call_start(struct request *req, const struct api_call *c)
{
	struct api *api = req->app;
	struct api_running *run = xcalloc(1, sizeof(*run));
	struct msg_GRANT_GET m = {.purpose = GRANT_PURPOSE_CALL};

	run->call = *c;
	req->state = run;
	req->cancel = api_cancel;
	if (!c->any_store)
		api_copy(m.store, sizeof(m.store), c->msg.store);
	api_copy(m.ns, sizeof(m.ns), c->msg.ns);
	api_copy(m.subject, sizeof(m.subject), c->subject);
	run->grant_req = aclient_grant_get(api->auth, &m, api_on_grant, req);
}

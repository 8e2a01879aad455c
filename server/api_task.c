/*
 * Calls on tasks (wire-protocol 7).  Runs in a worker; which tasks a caller
 * may see is the validator's affair.
 */
#include "config.h"

#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "server/api_int.h"
#include "server/render.h"

#define TASK_LOG_LINES 50

static struct json *
tasks(struct request *req, const struct api_answer *a, struct err *e)
{
	struct json *list, *o;
	uint64_t total = 0;

	list = render_tasks(a->recs, a->recs_len, &req->params, &total, e);
	if (list == NULL)
		return NULL;
	o = json_new_object();
	json_set(o, "data", list);
	json_set_u64(o, "total", total);
	return o;
}

void
api_tasks(struct request *req)
{
	struct api_call c;

	api_call_init(&c, req, CALL_TASK_LIST, tasks);
	/* A filter here, not the place whose rights count. */
	c.msg.store[0] = '\0';
	c.form = API_ENVELOPE;
	api_call_start(req, &c);
}

static void
task_call_init(struct api_call *c, struct request *req, enum call_op op,
    api_render_fn *render)
{
	api_call_init(c, req, op, render);
	api_copy(c->msg.name, sizeof(c->msg.name),
	    params_str(&req->params, "upid", ""));
}

static struct json *
task_status(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	return render_task_status(a->recs, a->recs_len, e);
}

void
api_task_status(struct request *req)
{
	struct api_call c;

	task_call_init(&c, req, CALL_TASK_STATUS, task_status);
	api_call_start(req, &c);
}

static struct json *
task_log(struct request *req, const struct api_answer *a, struct err *e)
{
	struct json *lines = render_lines(a->recs, a->recs_len, e);
	struct json *o;

	if (lines == NULL)
		return NULL;
	o = json_new_object();
	json_set(o, "data", lines);
	json_set_u64(o, "total", a->n0);
	json_set_i64(o, "success", 1);
	if (params_bool(&req->params, "test-status", 0))
		json_set_bool(o, "active", a->n1 != 0);
	return o;
}

static struct json *
task_log_text(struct request *req, const struct api_answer *a, struct err *e)
{
	(void)req;
	return render_log_text(a->recs, a->recs_len, e);
}

void
api_task_log(struct request *req)
{
	struct api_call c;

	task_call_init(&c, req, CALL_TASK_LOG, task_log);
	if (params_bool(&req->params, "download", 0)) {
		c.render = task_log_text;
		c.form = API_TEXT;
		api_call_start(req, &c);
		return;
	}
	c.form = API_ENVELOPE;
	c.msg.n0 = (uint64_t)params_int(&req->params, "start", 0);
	c.msg.n1 = (uint64_t)params_int(&req->params, "limit", TASK_LOG_LINES);
	api_call_start(req, &c);
}

void
api_task_stop(struct request *req)
{
	struct api_call c;

	task_call_init(&c, req, CALL_TASK_STOP, NULL);
	api_call_start(req, &c);
}

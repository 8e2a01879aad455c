/*
 * Calls on tasks (wire-protocol 7).  Runs in a worker; which tasks a caller
 * may see is the validator's affair.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "server/api_int.h"
#include "server/render.h"

#define TASKS_LISTED 50
#define TASK_LOG_LINES 50

static struct json *
tasks(struct request *req, const struct api_answer *a, struct err *e)
{
	struct json *list = render_tasks(a->recs, a->recs_len, e);
	struct json *o;

	(void)req;
	if (list == NULL)
		return NULL;
	o = json_new_object();
	json_set(o, "data", list);
	json_set_u64(o, "total", a->n0);
	return o;
}

static uint32_t
task_flags(const struct params *p)
{
	size_t i, n = params_count(p, "statusfilter");
	uint32_t flags = 0;

	if (params_bool(p, "running", 0))
		flags |= TASK_FLAG_RUNNING;
	if (params_bool(p, "errors", 0))
		flags |= TASK_FLAG_ERRORS;
	for (i = 0; i < n; i++)
		flags |= param_task_status(params_str_at(p, "statusfilter", i));
	return flags;
}

/* What does not fit is longer than all in which it is looked for. */
static void
copy_part(char *dst, size_t size, const char *part)
{
	snprintf(dst, size, "%s", part);
}

void
api_tasks(struct request *req)
{
	const struct params *p = &req->params;
	int64_t until = params_int(p, "until", INT64_MAX);
	struct api_call c;

	api_call_init(&c, req, CALL_TASK_LIST, tasks);
	c.any_store = 1;
	c.msg.flags = task_flags(p);
	copy_part(c.msg.name, sizeof(c.msg.name),
	    params_str(p, "userfilter", ""));
	copy_part(c.msg.id, sizeof(c.msg.id), params_str(p, "typefilter", ""));
	c.msg.n0 = (uint64_t)params_int(p, "start", 0);
	c.msg.n1 = (uint64_t)params_int(p, "limit", TASKS_LISTED);
	c.msg.n2 = (uint64_t)params_int(p, "since", 0);
	/* 0 would be any time, but nothing began so early. */
	c.msg.n3 = (uint64_t)(until == 0 ? -1 : until);
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

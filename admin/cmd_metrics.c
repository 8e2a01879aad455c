/*
 * holdfast-admin metrics: asks both daemons for what monitoring wants to know.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/ctl.h"
#include "admin/metrics.h"
#include "common/err.h"
#include "common/json.h"
#include "common/sbuf.h"

#define TEXT_MAX ((size_t)16 << 20)

/* A list of the validator's; NULL if it does not answer. */
static struct json *
ask_list(const char *run_dir, const char *command, const char *member)
{
	struct json *reply = NULL, *list = NULL;
	const struct json *found;
	struct err e;

	if (ctl_call(run_dir, CTL_VALIDATOR, command, NULL, &reply, &e) == -1)
		return NULL;
	found = json_get_array(reply, member, NULL);
	if (found != NULL)
		list = json_dup(found);
	json_free(&reply);
	return list;
}

void
metrics_gather(struct metrics *m, const char *run_dir)
{
	struct err e;

	memset(m, 0, sizeof(*m));
	if (ctl_call(run_dir, CTL_AUTH, "status", NULL, &m->auth, &e) == -1)
		m->auth = NULL;
	if (ctl_call(run_dir, CTL_VALIDATOR, "metrics", NULL, &m->counters,
		&e) == -1)
		m->counters = NULL;
	if (m->counters == NULL)
		return;
	m->stores = ask_list(run_dir, "datastore-list", "datastores");
	m->sessions = ask_list(run_dir, "session-list", "sessions");
	m->locks = ask_list(run_dir, "lock-list", "locks");
	/* It was there a moment ago; all or nothing. */
	if (m->stores == NULL || m->sessions == NULL || m->locks == NULL)
		json_free(&m->counters);
}

void
metrics_fini(struct metrics *m)
{
	json_free(&m->auth);
	json_free(&m->counters);
	json_free(&m->stores);
	json_free(&m->sessions);
	json_free(&m->locks);
}

const char *
metrics_trouble(const struct metrics *m)
{
	if (m->auth == NULL)
		return "holdfast-auth does not answer";
	if (m->counters == NULL)
		return "holdfast-validator does not answer";
	return NULL;
}

int
admin_metrics(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	struct metrics m;
	struct sbuf b;
	int rv = 0;

	(void)nargs;
	(void)args;
	if (o->http)
		return metrics_serve(o->run_dir, e);
	metrics_gather(&m, o->run_dir);
	sbuf_init(&b, TEXT_MAX);
	metrics_write(&b, &m);
	if (fputs(sbuf_str(&b), stdout) == EOF)
		rv = err_set(e, ERR_IO, "cannot write the metrics");
	sbuf_fini(&b);
	metrics_fini(&m);
	return rv;
}

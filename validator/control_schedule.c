/*
 * The operator's command on schedules.  Runs in the validator's loop.
 */
#include "config.h"

#include "validator/control_int.h"

#include <string.h>

#include "common/json.h"
#include "validator/schedule.h"
#include "validator/validator.h"

static void
info_json(void *arg, const struct schedule_info *i)
{
	struct control_req *r = arg;
	const char *store = control_arg(r, "store");
	struct json *o;

	if (store != NULL && strcmp(store, i->store) != 0)
		return;
	o = json_new_object();
	json_set_str(o, "store", i->store);
	json_set_str(o, "kind", i->kind);
	json_set_str(o, "name", i->name);
	json_set_str(o, "schedule", i->event);
	if (i->last != 0) {
		json_set_i64(o, "last", i->last);
		json_set_str(o, "upid", i->upid);
	}
	json_set_bool(o, "running", i->running);
	if (i->next != 0)
		json_set_i64(o, "next", i->next);
	if (i->why[0] != '\0')
		json_set_str(o, "error", i->why);
	json_append(r->list, o);
}

void
control_schedule_list(struct control_req *r)
{
	struct json *o = json_new_object();

	r->list = json_new_array();
	schedule_each(r->v->schedule, info_json, r);
	json_set(o, "schedules", r->list);
	r->list = NULL;
	control_reply(r, o);
}

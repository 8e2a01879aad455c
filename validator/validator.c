/*
 * The parts of the validator that belong to no single module: which datastores
 * there are, and reloading.  Runs in the loop.
 */
#include "config.h"

#include "validator/validator.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "validator/schedule.h"

struct vstore *
validator_store(struct validator *v, const char *name)
{
	size_t i;

	for (i = 0; i < v->nstores; i++)
		if (strcmp(v->stores[i].conf->title, name) == 0)
			return &v->stores[i];
	return NULL;
}

int
validator_store_use(struct validator *v, const char *name, int writes,
    struct vstore **out, struct err *e)
{
	struct vstore *vs = validator_store(v, name);

	if (vs == NULL)
		return err_set(e, ERR_INVALID, "no such datastore '%s'", name);
	if (vs->conf->maintenance == MAINTENANCE_OFFLINE ||
	    (writes && vs->conf->maintenance == MAINTENANCE_READ_ONLY))
		return err_set(e, ERR_MAINTENANCE,
		    "datastore '%s' is in %s maintenance mode: %s", name,
		    vs->conf->maintenance == MAINTENANCE_OFFLINE ? "offline"
								 : "read-only",
		    vs->conf->maintenance_message);
	if (vs->store == NULL) {
		*e = vs->refused;
		return err_wrap(e, "datastore '%s' is not available", name);
	}
	*out = vs;
	return 0;
}

/* Sessions keep pointers to struct vstore, never to its configuration. */
int
validator_reload(struct validator *v, struct err *e)
{
	struct validator_conf next;
	const char *what;
	size_t i;

	if (validator_conf_load(&next, v->conf_path, e) == -1)
		return -1;
	if ((what = validator_conf_changed(&v->conf, &next)) != NULL) {
		validator_conf_free(&next);
		return err_set(e, ERR_UNSUPPORTED,
		    "a change of '%s' needs a restart of the validator", what);
	}
	for (i = 0; i < v->nstores; i++)
		v->stores[i].conf = next.stores[i];
	validator_conf_free(&v->conf);
	v->conf = next;
	if (v->schedule != NULL)
		schedule_changed(v->schedule);
	log_info("validator", "configuration loaded again");
	return 0;
}

void
validator_kill_point(const struct validator *v, const char *name)
{
	if (strcmp(v->conf.debug_kill_at, name) == 0)
		kill(getpid(), SIGKILL);
}

bool
validator_check_is_held(const struct validator *v)
{
	struct stat st;

	return v->conf.debug_hold_check[0] != '\0' &&
	    stat(v->conf.debug_hold_check, &st) == 0;
}

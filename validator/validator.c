/*
 * The parts of the validator that belong to no single module: which datastores
 * there are, and reloading.  Runs in the loop.
 */
#include "config.h"

#include "validator/validator.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "validator/capacity.h"
#include "validator/jobs/verify.h"
#include "validator/schedule.h"
#include "validator/store/layout.h"
#include "validator/store/lost.h"

struct vstore *
validator_store(struct validator *v, const char *name)
{
	size_t i;

	for (i = 0; i < v->nstores; i++)
		if (strcmp(v->stores[i]->conf->title, name) == 0)
			return v->stores[i];
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
	if (vs->unused != NULL)
		return err_set(e, ERR_MAINTENANCE,
		    "datastore '%s' is being closed", name);
	*out = vs;
	return 0;
}

void
vstore_hold(struct vstore *vs)
{
	vs->nholds++;
}

void
vstore_unhold(struct vstore *vs)
{
	if (vs != NULL && --vs->nholds == 0 && vs->unused != NULL)
		vs->unused(vs->unused_arg);
}

void
vstore_close(struct validator *v, struct vstore *vs, bool clean)
{
	verify_new_drop(v->verifier, vs);
	store_pool_free(&vs->pool);
	capacity_free(&vs->capacity);
	store_close(&vs->store, clean);
	damage_discard(&vs->damage);
	vs->closed = true;
	err_set(&vs->refused, ERR_UNAVAILABLE, "closed by the operator");
	log_info("validator", "datastore is closed store=%s", vs->conf->title);
}

void
vstore_add_damage(struct vstore *vs, const struct digest *digest,
    enum damage_kind kind)
{
	bool overflowed = damage_is_overflowed(vs->damage);

	/* Those that are in the set are known to all that look. */
	if (!damage_has(vs->damage, digest))
		lost_tell(vs->store, digest);
	if (!damage_add(vs->damage, digest, kind) && !overflowed)
		log_err("validator",
		    "too many chunks are damaged or missing to remember all: "
		    "verify, then \"datastore clear\" store=%s",
		    vs->conf->title);
}

/* Those that were closed and are not configured any more. */
static void
forget_closed(struct validator *v, const struct validator_conf *next)
{
	size_t i, n = 0;

	for (i = 0; i < v->nstores; i++) {
		if (v->stores[i]->closed &&
		    validator_conf_store(next, v->stores[i]->conf->title) ==
			NULL) {
			free(v->stores[i]);
			continue;
		}
		v->stores[n] = v->stores[i];
		v->conf.stores[n++] = v->conf.stores[i];
	}
	v->nstores = v->conf.nstores = n;
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
	forget_closed(v, &next);
	if ((what = validator_conf_changed(&v->conf, &next)) != NULL) {
		validator_conf_free(&next);
		return err_set(e, ERR_UNSUPPORTED,
		    "a change of '%s' needs a restart of the validator", what);
	}
	for (i = 0; i < v->nstores; i++)
		v->stores[i]->conf = next.stores[i];
	validator_conf_free(&v->conf);
	v->conf = next;
	if (v->schedule != NULL)
		schedule_changed(v->schedule);
	if (v->verifier != NULL)
		verify_new_go_on(v->verifier);
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

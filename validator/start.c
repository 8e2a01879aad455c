/*
 * Start-up of the validator: from root (or an ordinary user) to a sealed
 * process with its sockets, databases and datastores.  What it reads here is
 * the operator's and its own.
 */
#include "config.h"

#include "validator/start.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/audit.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/path.h"
#include "common/proc.h"
#include "common/sandbox.h"
#include "validator/store/damage.h"
#include "validator/store/layout.h"
#include "validator/store/lockdb.h"
#include "validator/store/threads.h"
#include "validator/store/verified.h"
#include "validator/task.h"
#include "validator/validator.h"

/* Each reader and each base keeps some files open. */
#define FILES_WANTED UINT64_C(65536)

/* --- folders and sockets --- */

static int
make_folder(char *path, mode_t mode, uid_t uid, gid_t gid, struct err *e)
{
	int rv = path_make_folder(path, mode, uid, gid, e);

	free(path);
	return rv;
}

static int
make_folders(struct validator *v, uid_t uid, gid_t gid, gid_t admin,
    struct err *e)
{
	const struct validator_conf *c = &v->conf;

	if (make_folder(xstrdup(c->run_dir), 0755, 0, 0, e) == -1 ||
	    make_folder(xasprintf("%s/worker", c->run_dir), 0755, 0, 0, e) ==
		-1 ||
	    make_folder(xasprintf("%s/admin", c->run_dir), 0750, 0, admin, e) ==
		-1 ||
	    make_folder(xasprintf("%s/validator", c->run_dir), 0700, uid, gid,
		e) == -1 ||
	    make_folder(xstrdup(c->state_dir), 0755, 0, 0, e) == -1 ||
	    make_folder(xasprintf("%s/validator", c->state_dir), 0700, uid, gid,
		e) == -1 ||
	    make_folder(xstrdup(c->log_dir), 0750, uid, gid, e) == -1)
		return -1;
	return make_folder(xasprintf("%s/tasks", c->log_dir), 0750, uid, gid,
	    e);
}

/* systemd's socket, which stays over our restarts, or one at the same path. */
static int
listen_on(struct validator *v, const char *folder, mode_t mode, gid_t gid,
    struct err *e)
{
	int fd = proc_listen_fd(folder, 0);
	char *path;

	if (fd != -1)
		return fd;
	path = xasprintf("%s/%s/validator.sock", v->conf.run_dir, folder);
	fd = ipc_listen(path, mode, e);
	if (fd != -1 && geteuid() == 0 && gid != (gid_t)-1 &&
	    chown(path, (uid_t)-1, gid) == -1) {
		err_errno(e, errno, "cannot set the group of %s", path);
		io_close(&fd);
	}
	free(path);
	return fd;
}

static int
find_user(struct validator *v, uid_t *uid_out, gid_t *gid_out, struct err *e)
{
	*uid_out = geteuid();
	*gid_out = getegid();
	if (geteuid() != 0)
		return 0;
	return proc_user(v->conf.user, uid_out, gid_out, e);
}

/* Whose connections are taken. */
static void
find_peers(struct validator *v)
{
	gid_t gid;

	v->start_uid = v->worker_uid = geteuid();
	v->admin_gid = (gid_t)-1;
	if (proc_group(v->conf.admin_group, &v->admin_gid, NULL) == -1)
		log_warn("start",
		    "no group %s: only root may use the control socket",
		    v->conf.admin_group);
	/* Who is not root may be a service manager's choice, or the one user
	 * of all programs: then it is worker_uid already. */
	if (proc_user(v->conf.worker_user, &v->worker_uid, &gid, NULL) == -1 &&
	    geteuid() == 0)
		log_warn("start", "no user %s: only root's workers can connect",
		    v->conf.worker_user);
}

int
start_make_key(struct validator *v, struct err *e)
{
	char *key = xasprintf("%s/grant.key", v->conf.state_dir);
	int rv = make_folder(xstrdup(v->conf.state_dir), 0755, 0, 0, e);

	if (rv == 0)
		rv = grant_key_load(key, v->grant_key, e);
	mem_wipe(v->grant_key, sizeof(v->grant_key));
	free(key);
	return rv;
}

int
start_privileged(struct validator *v, int fds_out[2], struct err *e)
{
	gid_t gid;
	char *key;
	uid_t uid;
	int rv;

	fds_out[0] = fds_out[1] = -1;
	if (find_user(v, &uid, &gid, e) == -1)
		return -1;
	find_peers(v);
	if (make_folders(v, uid, gid, v->admin_gid, e) == -1)
		return -1;
	key = xasprintf("%s/grant.key", v->conf.state_dir);
	rv = grant_key_load(key, v->grant_key, e);
	free(key);
	if (rv == -1)
		return -1;
	if ((fds_out[0] = listen_on(v, "worker", 0666, (gid_t)-1, e)) == -1)
		return -1;
	if ((fds_out[1] = listen_on(v, "admin", 0660, v->admin_gid, e)) == -1)
		return -1;
	return 0;
}

int
start_drop(struct validator *v, struct err *e)
{
	uid_t uid;
	gid_t gid;

	if (find_user(v, &uid, &gid, e) == -1)
		return -1;
	if (proc_want_files(FILES_WANTED, e) == -1)
		log_warn_e("start", e, "fewer files than wanted");
	if (proc_drop(uid, gid, NULL, 0, e) == -1)
		return -1;
	return proc_harden(0, e);
}

/* --- state --- */

static int
open_folder(char *path, struct err *e)
{
	int fd = io_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, e);

	free(path);
	return fd;
}

/* None of them may be another one's content. */
static int
check_nested(const struct validator *v, const struct vstore *vs, struct err *e)
{
	char *path = path_resolve(vs->conf->path), *other;
	const struct datastore_conf *c;
	size_t i;
	int rv = 0;

	for (i = 0; rv == 0 && i < v->conf.nstores; i++) {
		c = v->conf.stores[i];
		other = path_resolve(c->path);
		if (path_is_below(path, other) || path_is_below(other, path))
			rv = err_set(e, ERR_PARAM,
			    "%s and %s of datastore '%s' lie in each other",
			    vs->conf->path, c->path, c->title);
		free(other);
	}
	free(path);
	return rv;
}

/* Not mounted, held by another program, damaged: refused alone. */
static void
open_store(struct validator *v, struct vstore *vs, int state_fd)
{
	struct store_opts o = {
	    .name = vs->conf->title,
	    .path = vs->conf->path,
	    .state_fd = state_fd,
	    .reserve = vs->conf->min_free,
	};

	if (check_nested(v, vs, &vs->refused) == 0 &&
	    store_open(&vs->store, &o, &vs->refused) == 0) {
		if (damage_open(&vs->damage, state_fd, vs->conf->title,
			&vs->refused) == 0) {
			if (damage_is_overflowed(vs->damage))
				log_warn("start",
				    "not all damaged chunks are known: verify, "
				    "then \"datastore clear\" store=%s",
				    vs->conf->title);
			log_info("start", "datastore is open store=%s path=%s",
			    vs->conf->title, vs->conf->path);
			return;
		}
		store_close(&vs->store, false);
	}
	vs->store = NULL;
	log_err_e("start", &vs->refused, "datastore is refused store=%s",
	    vs->conf->title);
}

static int
open_stores(struct validator *v, struct err *e)
{
	int state_fd =
	    open_folder(xasprintf("%s/validator", v->conf.state_dir), e);
	size_t i;

	if (state_fd == -1)
		return -1;
	v->nstores = v->conf.nstores;
	v->stores = xcalloc(v->nstores + 1, sizeof(*v->stores));
	for (i = 0; i < v->nstores; i++) {
		v->stores[i] = xcalloc(1, sizeof(*v->stores[i]));
		v->stores[i]->conf = v->conf.stores[i];
		open_store(v, v->stores[i], state_fd);
	}
	io_close(&state_fd);
	return 0;
}

int
start_state(struct validator *v, struct err *e)
{
	char *locks = xasprintf("%s/validator/locks", v->conf.run_dir);
	char *verified = xasprintf("%s/validator/verified", v->conf.state_dir);
	char *state = xasprintf("%s/validator", v->conf.state_dir);
	bool rebooted = false;
	int fd, rv;

	rv = lockdb_open(&v->locks, locks, 0, &rebooted, e);
	if (rv == 0)
		rv = verified_open(&v->verified, verified, 0, e);
	if (rv == 0)
		rv = audit_open(&v->audit, state, &v->conf.audit, e);
	free(state);
	free(locks);
	free(verified);
	if (rv == -1)
		return -1;
	if (rebooted)
		log_info("start", "sessions from before the reboot are gone");
	fd = open_folder(xasprintf("%s/tasks", v->conf.log_dir), e);
	if (fd == -1 || (v->tasks = tasks_open(fd, e)) == NULL)
		return -1;
	return open_stores(v, e);
}

/* --- sandbox --- */

int
start_seal(struct validator *v, struct err *e)
{
	size_t n = 0, i, max = v->nstores + sandbox_system_npaths + 8;
	struct sandbox_path *p = xcalloc(max, sizeof(*p));
	char *conf_dir = xstrdup(v->conf_path);
	char *run = xasprintf("%s/validator", v->conf.run_dir);
	char *state = xasprintf("%s/validator", v->conf.state_dir);
	char *tasks = xasprintf("%s/tasks", v->conf.log_dir);
	int rv;

	tzset();
#define ALLOW(what, how)                                  \
	p[n++] = (struct sandbox_path)                    \
	{                                                 \
		.path = (what), .fd = -1, .rights = (how) \
	}
	for (i = 0; i < v->nstores; i++)
		if (v->stores[i]->store != NULL)
			p[n++] = (struct sandbox_path){
			    .fd = v->stores[i]->store->root_fd,
			    .rights = SANDBOX_READ | SANDBOX_WRITE,
			};
	ALLOW(run, SANDBOX_READ | SANDBOX_WRITE);
	ALLOW(state, SANDBOX_READ | SANDBOX_WRITE);
	ALLOW(tasks, SANDBOX_READ | SANDBOX_WRITE);
	ALLOW(v->conf.libexec_dir, SANDBOX_READ | SANDBOX_EXEC);
	ALLOW(dirname(conf_dir), SANDBOX_READ);
#undef ALLOW
	for (i = 0; i < sandbox_system_npaths; i++)
		p[n++] = sandbox_system_paths[i];
	rv = sandbox_enter(SANDBOX_VALIDATOR, p, n,
	    v->conf.require_sandbox ? SANDBOX_F_REQUIRE : 0, e);
	free(p);
	free(conf_dir);
	free(run);
	free(state);
	free(tasks);
	return rv;
}

/* --- the end --- */

/* What was written is synced once more, so that the next start need not
 * suspect any chunk. */
static void
close_stores(struct validator *v)
{
	struct vstore *vs;
	struct err e;
	size_t i;
	bool clean;

	for (i = 0; i < v->nstores; i++) {
		vs = v->stores[i];
		if (vs->store != NULL) {
			clean = store_sync(vs->store, &e) == 0;
			if (!clean)
				log_err_e("start", &e, "cannot sync store=%s",
				    vs->conf->title);
			store_close(&vs->store, clean);
			damage_close(&vs->damage);
		}
		free(vs);
	}
	free(v->stores);
	v->stores = NULL;
	v->nstores = 0;
}

void
start_undo(struct validator *v)
{
	close_stores(v);
	audit_close(&v->audit);
	if (v->tasks != NULL)
		tasks_close(&v->tasks);
	if (v->verified != NULL)
		verified_close(&v->verified);
	if (v->locks != NULL)
		lockdb_close(&v->locks);
	mem_wipe(v->grant_key, sizeof(v->grant_key));
	validator_conf_free(&v->conf);
}

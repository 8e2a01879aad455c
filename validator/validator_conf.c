/*
 * Configuration of the validator.  Read at start as root or as the user that
 * starts it, again at SIGHUP as the validator's user.  Written by the
 * operator, so it is trusted, but not to be right.
 */
#include "config.h"

#include "validator/validator_conf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/calendar.h"
#include "common/err.h"
#include "common/mem.h"
#include "common/format/names.h"

#define JOB_NAME_MAX 32
#define STORE(member) offsetof(struct datastore_conf, member)
#define VAL(member) offsetof(struct validator_conf, member)

static int
check_absolute(const char *value, struct err *e)
{
	if (value[0] != '/')
		return err_set(e, ERR_PARAM, "must be an absolute path");
	return 0;
}

static int
check_schedule(const char *value, struct err *e)
{
	struct calendar c;

	return value[0] == '\0' ? 0 : calendar_parse(value, &c, e);
}

static int
check_ns(const char *value, struct err *e)
{
	struct backup_ns ns;

	return ns_parse(&ns, value, e);
}

static int
check_job_name(const char *value, struct err *e)
{
	if (!safe_id_valid(value) || strlen(value) > JOB_NAME_MAX)
		return err_set(e, ERR_PARAM, "not a name for a job");
	return 0;
}

/* What every kind of scheduled job has. */
#define JOB_OPTS(type_)                                                 \
	{.name = "schedule",                                            \
	    .type = CONF_STR,                                           \
	    .offset = offsetof(type_, schedule),                        \
	    .flags = CONF_F_REQUIRED | CONF_F_RELOAD,                   \
	    .check = check_schedule,                                    \
	    .doc = "When, as a calendar event: daily, mon..fri 02:30, " \
		   "*:0/15."},                                          \
	    {.name = "ns",                                              \
		.type = CONF_STR,                                       \
		.offset = offsetof(type_, ns),                          \
		.flags = CONF_F_RELOAD,                                 \
		.check = check_ns,                                      \
		.doc = "Namespace; the root if it is left out."},       \
	{                                                               \
		.name = "max-depth", .type = CONF_UINT,                 \
		.offset = offsetof(type_, max_depth), .def = "7",       \
		.max = NAMESPACE_DEPTH_MAX, .flags = CONF_F_RELOAD,     \
		.doc = "At most so many levels of namespaces below."    \
	}

static const struct conf_opt verify_job_opts[] = {
    JOB_OPTS(struct verify_job_conf),
    {.name = "ignore-verified",
	.type = CONF_BOOL,
	.offset = offsetof(struct verify_job_conf, ignore_verified),
	.def = "yes",
	.flags = CONF_F_RELOAD,
	.doc = "Skip snapshots that were verified before."},
    {.name = "outdated-after",
	.type = CONF_UINT,
	.offset = offsetof(struct verify_job_conf, outdated_after),
	.def = "0",
	.flags = CONF_F_RELOAD,
	.doc = "But not if that is more days ago. 0: however long ago."},
    {.name = NULL},
};

#define KEEP(what)                                                       \
	{                                                                \
		.name = "keep-" #what, .type = CONF_UINT,                \
		.offset = offsetof(struct prune_job_conf, keep.what),    \
		.def = "0", .flags = CONF_F_RELOAD,                      \
		.doc = "Keep so many " #what " snapshots of each group." \
	}
static const struct conf_opt prune_job_opts[] = {
    JOB_OPTS(struct prune_job_conf),
    KEEP(last),
    KEEP(hourly),
    KEEP(daily),
    KEEP(weekly),
    KEEP(monthly),
    KEEP(yearly),
    {.name = NULL},
};

static const struct conf_opt datastore_opts[] = {
    {.name = "path",
	.type = CONF_STR,
	.offset = STORE(path),
	.flags = CONF_F_REQUIRED,
	.check = check_absolute,
	.doc = "Folder that holds the datastore."},
    {.name = "comment",
	.type = CONF_STR,
	.offset = STORE(comment),
	.flags = CONF_F_RELOAD,
	.doc = "Shown to clients."},
    {.name = "on-missing",
	.type = CONF_ENUM,
	.offset = STORE(on_missing),
	.def = "abort",
	.choices = "abort abort-when-referenced",
	.flags = CONF_F_RELOAD,
	.doc = "What a missing chunk of the previous snapshot does to the "
	       "backup that may reuse it: abort it at once, or only when "
	       "it refers to that chunk. The previous snapshot is marked "
	       "as failed in any case."},
    {.name = "recent-verify",
	.type = CONF_DURATION,
	.offset = STORE(recent_verify),
	.def = "0",
	.flags = CONF_F_RELOAD,
	.doc = "Do not check the chunks of a previous snapshot that this "
	       "server verified in whole so recently, and since the last "
	       "power cut. 0: always check."},
    {.name = "verify-new",
	.type = CONF_BOOL,
	.offset = STORE(verify_new),
	.def = "no",
	.flags = CONF_F_RELOAD,
	.doc = "Verify each snapshot as soon as it is finished."},
    {.name = "min-free",
	.type = CONF_SIZE,
	.offset = STORE(min_free),
	.def = "1G",
	.doc = "New backups and uploads are refused when less is free, so "
	       "that marks, finishes and deletions still succeed."},
    {.name = "gc-margin",
	.type = CONF_DURATION,
	.offset = STORE(gc_margin),
	.def = "5m",
	.max = 7 * 24 * 3600 * UINT64_C(1000),
	.flags = CONF_F_RELOAD,
	.doc = "Garbage collection keeps what is younger than its start and "
	       "every open backup by so much: more than the clocks of this "
	       "host and of the disk's may differ."},
    {.name = "stat-threads",
	.type = CONF_UINT,
	.offset = STORE(stat_threads),
	.def = "8",
	.min = 1,
	.max = 64,
	.doc = "Threads that check whether reused chunks are there."},
    {.name = "io-threads",
	.type = CONF_UINT,
	.offset = STORE(io_threads),
	.def = "4",
	.min = 1,
	.max = 64,
	.doc = "Threads that read and write."},
    {.name = "max-sessions",
	.type = CONF_UINT,
	.offset = STORE(max_sessions),
	.def = "256",
	.min = 1,
	.max = 65536,
	.flags = CONF_F_RELOAD,
	.doc = "Sessions that may be open at a time."},
    {.name = "gc-schedule",
	.type = CONF_STR,
	.offset = STORE(gc_schedule),
	.flags = CONF_F_RELOAD,
	.check = check_schedule,
	.doc = "When garbage is collected, as a calendar event: daily, "
	       "mon..fri 02:30."},
    {.name = "verify-job",
	.type = CONF_SECTION,
	.offset = STORE(verify_jobs),
	.sub = verify_job_opts,
	.sub_size = sizeof(struct verify_job_conf),
	.flags = CONF_F_RELOAD,
	.check = check_job_name,
	.doc = "Verifies snapshots on a schedule."},
    {.name = "prune-job",
	.type = CONF_SECTION,
	.offset = STORE(prune_jobs),
	.sub = prune_job_opts,
	.sub_size = sizeof(struct prune_job_conf),
	.flags = CONF_F_RELOAD,
	.check = check_job_name,
	.doc = "Removes old snapshots on a schedule. Without keep rules "
	       "nothing is removed."},
    {.name = "maintenance",
	.type = CONF_ENUM,
	.offset = STORE(maintenance),
	.def = "none",
	.choices = "none read-only offline",
	.flags = CONF_F_RELOAD,
	.doc = "Refuses writes, or everything."},
    {.name = "maintenance-message",
	.type = CONF_STR,
	.offset = STORE(maintenance_message),
	.flags = CONF_F_RELOAD,
	.doc = "Shown to clients with the refusal."},
    {.name = NULL},
};

static int
check_store_name(const char *value, struct err *e)
{
	if (!datastore_name_valid(value))
		return err_set(e, ERR_PARAM, "not a name for a datastore");
	return 0;
}

#define DATASTORE_OPT(where)                                                  \
	{                                                                     \
		.name = "datastore", .type = CONF_SECTION, .offset = (where), \
		.sub = datastore_opts,                                        \
		.sub_size = sizeof(struct datastore_conf),                    \
		.flags = CONF_F_RELOAD, .check = check_store_name,            \
		.doc =                                                        \
		    "A datastore. A change of the set or of a path needs a "  \
		    "restart of the validator."                               \
	}

const struct conf_opt validator_conf_opts[] = {
    {.name = "run-dir",
	.type = CONF_STR,
	.offset = VAL(run_dir),
	.def = RUNSTATEDIR "/holdfast",
	.check = check_absolute,
	.doc = "Folder of sockets, locks and session state; outlives the "
	       "validator, not a reboot."},
    {.name = "state-dir",
	.type = CONF_STR,
	.offset = VAL(state_dir),
	.def = LOCALSTATEDIR "/lib/holdfast",
	.check = check_absolute,
	.doc = "Folder of keys and of this server's own records."},
    {.name = "log-dir",
	.type = CONF_STR,
	.offset = VAL(log_dir),
	.def = LOCALSTATEDIR "/log/holdfast",
	.check = check_absolute,
	.doc = "Folder of task logs, on a local disk."},
    {.name = "libexec-dir",
	.type = CONF_STR,
	.offset = VAL(libexec_dir),
	.def = HOLDFAST_LIBEXECDIR,
	.check = check_absolute,
	.doc = "Folder of the programs that the validator starts."},
    {.name = "user",
	.type = CONF_STR,
	.offset = VAL(user),
	.def = "holdfast-validator",
	.doc = "User to become when started as root; the owner of the "
	       "datastores."},
    {.name = "worker-user",
	.type = CONF_STR,
	.offset = VAL(worker_user),
	.def = "holdfast",
	.doc = "User of the server's workers; nobody else may connect."},
    {.name = "admin-group",
	.type = CONF_STR,
	.offset = VAL(admin_group),
	.def = "holdfast-admin",
	.doc = "Group that may use the control socket."},
    {.name = "resume-time",
	.type = CONF_DURATION,
	.offset = VAL(resume_time),
	.def = "60s",
	.min = 100,
	.max = 3600000,
	.flags = CONF_F_RELOAD,
	.doc = "How long open sessions wait for their worker after a "
	       "restart of the validator."},
    {.name = "spare-checkers",
	.type = CONF_UINT,
	.offset = VAL(spare_checkers),
	.def = "2",
	.max = 64,
	.doc = "Checkers that are started in advance."},
    {.name = "arena-size",
	.type = CONF_SIZE,
	.offset = VAL(arena_size),
	.def = "64M",
	.min = 32u << 20,
	.max = (uint64_t)ARENA_BLOCKS_MAX * ARENA_BLOCK,
	.flags = CONF_F_RELOAD,
	.doc = "Shared memory of an upload session; bounds what is in "
	       "flight."},
    {.name = "max-sessions-per-user",
	.type = CONF_UINT,
	.offset = VAL(max_per_user),
	.def = "64",
	.min = 1,
	.max = 65536,
	.flags = CONF_F_RELOAD,
	.doc = "Sessions that one user and his API tokens may have open at a "
	       "time."},
    {.name = "max-inflight-per-user",
	.type = CONF_SIZE,
	.offset = VAL(max_inflight),
	.def = "4G",
	.min = 32u << 20,
	.flags = CONF_F_RELOAD,
	.doc = "What the uploads of one user and his API tokens may have in "
	       "flight: the sum of arena-size over his backups."},
    {.name = "audit-file-size",
	.type = CONF_SIZE,
	.offset = VAL(audit.file_size),
	.def = "16M",
	.min = 4096,
	.max = 1 << 30,
	.doc = "Size at which a file of the audit log is full and the next "
	       "one begins."},
    {.name = "audit-files",
	.type = CONF_UINT,
	.offset = VAL(audit.files),
	.def = "64",
	.min = 1,
	.max = 100000,
	.doc = "Full files of the audit log that are kept; the oldest are "
	       "removed."},
    {.name = "require-sandbox",
	.type = CONF_BOOL,
	.offset = VAL(require_sandbox),
	.def = "no",
	.doc = "Do not start on a kernel without Landlock."},
    {.name = "debug-kill-at",
	.type = CONF_STR,
	.offset = VAL(debug_kill_at),
	.doc = "For tests: the validator kills itself at this point."},
    {.name = "debug-hold-check",
	.type = CONF_STR,
	.offset = VAL(debug_hold_check),
	.doc = "For tests: reused chunks are not checked as long as this file "
	       "exists."},
    {.name = "debug-hold-job",
	.type = CONF_STR,
	.offset = VAL(debug_hold_job),
	.flags = CONF_F_RELOAD,
	.doc = "For tests: a job waits at its step STEP as long as the file of "
	       "this name and \".STEP\" exists."},
    DATASTORE_OPT(VAL(datastores)),
    {.name = NULL},
};

/* A file of datastores.d holds nothing but datastores. */
static const struct conf_opt file_opts[] = {
    DATASTORE_OPT(0),
    {.name = NULL},
};

static int
load_file(struct validator_conf *c, const char *path, struct err *e)
{
	struct conf_sections s;

	if (conf_load(path, file_opts, &s, sizeof(s), e) == -1)
		return -1;
	c->files = xreallocarray(c->files, c->nfiles + 1, sizeof(*c->files));
	c->files[c->nfiles++] = s;
	return 0;
}

static int
is_conf_name(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 &&
	    strcmp(d->d_name + n - 5, ".conf") == 0;
}

static int
load_folder(struct validator_conf *c, const char *dir, struct err *e)
{
	struct dirent **names;
	char *path;
	int i, n, rv = 0;

	n = scandir(dir, &names, is_conf_name, alphasort);
	if (n == -1)
		return errno == ENOENT
		    ? 0
		    : err_errno(e, errno, "cannot read %s", dir);
	for (i = 0; i < n; i++) {
		if (rv == 0) {
			path = xasprintf("%s/%s", dir, names[i]->d_name);
			rv = load_file(c, path, e);
			free(path);
		}
		free(names[i]);
	}
	free(names);
	return rv;
}

static int
store_cmp(const void *a, const void *b)
{
	const struct datastore_conf *const *x = a, *const *y = b;

	return strcmp((*x)->title, (*y)->title);
}

static void
add_stores(struct validator_conf *c, const struct conf_sections *s)
{
	const struct datastore_conf *v = s->v;
	size_t i;

	c->stores =
	    xreallocarray(c->stores, c->nstores + s->n + 1, sizeof(*c->stores));
	for (i = 0; i < s->n; i++)
		c->stores[c->nstores++] = &v[i];
}

static int
collect_stores(struct validator_conf *c, struct err *e)
{
	size_t i;

	add_stores(c, &c->datastores);
	for (i = 0; i < c->nfiles; i++)
		add_stores(c, &c->files[i]);
	qsort(c->stores, c->nstores, sizeof(*c->stores), store_cmp);
	for (i = 0; i < c->nstores; i++) {
		if (!datastore_name_valid(c->stores[i]->title))
			return err_set(e, ERR_PARAM,
			    "'%s' is not a name for a datastore",
			    c->stores[i]->title);
		if (i > 0 && store_cmp(&c->stores[i - 1], &c->stores[i]) == 0)
			return err_set(e, ERR_PARAM,
			    "datastore '%s' stands in two files",
			    c->stores[i]->title);
	}
	return 0;
}

int
validator_conf_load(struct validator_conf *c, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *dir;
	int rv;

	memset(c, 0, sizeof(*c));
	if (conf_load(path, validator_conf_opts, c, sizeof(*c), e) == -1)
		return -1;
	dir = slash == NULL
	    ? xstrdup("datastores.d")
	    : xasprintf("%.*s/datastores.d", (int)(slash - path), path);
	rv = load_folder(c, dir, e);
	free(dir);
	if (rv == 0)
		rv = collect_stores(c, e);
	if (rv == -1)
		validator_conf_free(c);
	return rv;
}

void
validator_conf_free(struct validator_conf *c)
{
	size_t i;

	free(c->stores);
	for (i = 0; i < c->nfiles; i++)
		conf_free(file_opts, &c->files[i], sizeof(c->files[i]));
	free(c->files);
	conf_free(validator_conf_opts, c, sizeof(*c));
	memset(c, 0, sizeof(*c));
}

const struct datastore_conf *
validator_conf_store(const struct validator_conf *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nstores; i++)
		if (strcmp(c->stores[i]->title, name) == 0)
			return c->stores[i];
	return NULL;
}

const char *
validator_conf_changed(const struct validator_conf *a,
    const struct validator_conf *b)
{
	const char *name = conf_changed(validator_conf_opts, a, b);
	size_t i;

	if (name != NULL)
		return name;
	if (a->nstores != b->nstores)
		return "datastore";
	for (i = 0; i < a->nstores; i++) {
		if (store_cmp(&a->stores[i], &b->stores[i]) != 0)
			return "datastore";
		name = conf_changed(datastore_opts, a->stores[i], b->stores[i]);
		if (name != NULL)
			return name;
	}
	return NULL;
}

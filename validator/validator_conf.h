#ifndef VALIDATOR_VALIDATOR_CONF_H
#define VALIDATOR_VALIDATOR_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "common/audit.h"
#include "common/conf.h"
#include "common/format/prune.h"

struct err;

/*
 * validator.conf, and one file a datastore from the folder datastores.d
 * beside it, so that commands can make and remove a datastore whole.
 */
enum on_missing {
	ON_MISSING_ABORT, /* nobody knows what the client will still reuse */
	ON_MISSING_ABORT_WHEN_REFERENCED,
};

enum maintenance {
	MAINTENANCE_NONE,
	MAINTENANCE_READ_ONLY,
	MAINTENANCE_OFFLINE,
};

/* Scheduled work: titles are names, unique in their datastore; schedule is a
 * calendar event (common/calendar.h) that was parsed once. */
struct verify_job_conf {
	char *title;
	char *schedule;
	char *ns;
	uint64_t max_depth;
	int ignore_verified;
	uint64_t outdated_after; /* days; 0: never */
};

struct prune_job_conf {
	char *title;
	char *schedule;
	char *ns;
	uint64_t max_depth;
	struct prune_rules keep;
};

struct datastore_conf {
	char *title; /* its name */
	char *path;
	char *comment;
	int on_missing;         /* enum on_missing */
	uint64_t recent_verify; /* ms; 0: always check */
	int verify_new;
	uint64_t min_free;  /* bytes */
	uint64_t gc_margin; /* ms */
	uint64_t stat_threads;
	uint64_t io_threads;
	uint64_t max_sessions;
	char *gc_schedule;                /* "": none */
	struct conf_sections verify_jobs; /* struct verify_job_conf */
	struct conf_sections prune_jobs;  /* struct prune_job_conf */
	int maintenance;                  /* enum maintenance */
	char *maintenance_message;
};

struct validator_conf {
	char *run_dir;
	char *state_dir;
	char *log_dir;
	char *libexec_dir;
	char *user;
	char *worker_user; /* whose connections are workers' */
	char *admin_group;
	int require_sandbox;
	uint64_t resume_time; /* ms */
	uint64_t spare_checkers;
	uint64_t arena_size;   /* bytes of one upload session's arena */
	uint64_t max_per_user; /* sessions */
	uint64_t max_inflight; /* bytes of all arenas of a user */
	struct audit_limits audit;
	char *debug_kill_at;
	char *debug_hold_check;
	char *debug_hold_job;
	struct conf_sections datastores; /* of validator.conf itself */

	/* All datastores, in the order of their names; lent by the files
	 * below. */
	const struct datastore_conf **stores;
	size_t nstores;
	struct conf_sections *files; /* one for each file of datastores.d */
	size_t nfiles;
};

extern const struct conf_opt validator_conf_opts[];

/* Reads path and its datastores.d; on failure *c is zeroed. */
int validator_conf_load(struct validator_conf *c, const char *path,
    struct err *e);
void validator_conf_free(struct validator_conf *c);
const struct datastore_conf *
validator_conf_store(const struct validator_conf *c, const char *name);
/* The first option that differs and cannot change while we run, or NULL.  A
 * datastore that was added, removed or moved is such a difference: our Landlock
 * rules are fixed. */
const char *validator_conf_changed(const struct validator_conf *a,
    const struct validator_conf *b);

#endif

#ifndef VALIDATOR_VALIDATOR_H
#define VALIDATOR_VALIDATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/grant.h"
#include "validator/metrics.h"
#include "validator/validator_conf.h"
#include "validator/store/damage.h"
#include "validator/store/threads.h"

/*
 * What all modules of the validator share: made by main.c before the first
 * peer, passed by pointer.  Each member belongs to the module named by its
 * type; all of it is the loop's.
 */
struct audit;
struct capacity;
struct checker_pool;
struct event_base;
struct jobs;
struct lockdb;
struct manifest_edits;
struct peers;
struct schedule;
struct sessions;
struct store;
struct store_pool;
struct tasks;
struct verified;
struct verifier;

/* A configured datastore, also when it was refused at start. */
struct vstore {
	const struct datastore_conf *conf;
	struct store *store;       /* NULL: see refused */
	struct store_pool *pool;   /* NULL if the store is */
	struct damage *damage;     /* so too */
	struct capacity *capacity; /* so too */
	struct err refused;
	bool closed;    /* by the operator: refused until a restart */
	bool prune_job; /* a scheduled one runs */
	unsigned int nsessions;
	unsigned int nholds;       /* of vstore_hold() */
	void (*unused)(void *arg); /* to be closed: no hold is left */
	void *unused_arg;
	struct metrics_store metrics;
};

struct validator {
	struct event_base *base;
	const char *conf_path;
	struct validator_conf conf;
	struct vstore **stores; /* conf.nstores of them */
	size_t nstores;
	uint8_t grant_key[GRANT_KEY_LEN];
	struct grant_seen *grants;
	struct lockdb *locks;
	struct verified *verified;       /* only in jobs of verified_flow */
	struct store_flow verified_flow; /* a strand of local_pool */
	struct store_pool *local_pool;   /* for the folders STATE and LOG */
	struct checker_pool *checkers;
	struct tasks *tasks;
	struct audit *audit;
	struct jobs *jobs;
	struct verifier *verifier;
	struct schedule *schedule;
	struct manifest_edits *edits;
	struct sessions *sessions;
	struct peers *peers;
	uid_t start_uid;  /* who started us may control us */
	gid_t admin_gid;  /* -1: no such group */
	uid_t worker_uid; /* of the server's workers */
	uint64_t boot; /* at random: tells workers that we are a new process */
	int64_t started;
};

/* Whatever keeps a pointer to an open one from one turn of the loop to another
 * (sessions count by themselves): it is not closed before. */
void vstore_hold(struct vstore *vs);
void vstore_unhold(struct vstore *vs); /* NULL is fine */
/* Closes it while the others go on: nothing may work on it any more, nor on
 * its threads.  clean: all that was written is durable. */
void vstore_close(struct validator *v, struct vstore *vs, bool clean);

/* It was found damaged or missing: for the log of its healing, and for
 * backups that are about to be published. */
void vstore_add_damage(struct vstore *vs, const struct digest *digest,
    enum damage_kind kind);

/* NULL if no such datastore is configured. */
struct vstore *validator_store(struct validator *v, const char *name);
/*
 * The open store of that name.  ERR_INVALID "no such datastore", its
 * refusal, or ERR_MAINTENANCE unless this kind of use is allowed now.
 */
int validator_store_use(struct validator *v, const char *name, int writes,
    struct vstore **out, struct err *e);
/* Reads the configuration again; what cannot change while we run is refused
 * and nothing changes. */
int validator_reload(struct validator *v, struct err *e);

/* Ends this process without warning if "name" is the configured point: so
 * tests can kill it between any two steps. */
void validator_kill_point(const struct validator *v, const char *name);
/* True while the file exists that holds back the check: so tests can look at
 * a finish that waits. */
bool validator_check_is_held(const struct validator *v);

#endif

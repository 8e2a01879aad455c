/*
 * holdfast-validator: owns the datastores, the locks and the task logs.
 * Started by systemd or the operator; root only until its sockets are bound,
 * then holdfast-validator.  Serves workers, which it distrusts, and the
 * operator's command; gives a client's bytes to checkers only.
 */
#include "config.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/audit.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "validator/capacity.h"
#include "validator/checker.h"
#include "validator/control.h"
#include "validator/jobs/jobs.h"
#include "validator/jobs/verify.h"
#include "validator/manifest_edit.h"
#include "validator/peer.h"
#include "validator/schedule.h"
#include "validator/session.h"
#include "validator/start.h"
#include "validator/store/threads.h"
#include "validator/store/verified.h"
#include "validator/task.h"
#include "validator/validator.h"

#define CONF_DEFAULT SYSCONFDIR "/validator.conf"

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void
usage(FILE *f)
{
	fprintf(f,
	    "usage: holdfast-validator [-dfhkV] [-c FILE]\n"
	    "Owns the datastores; workers ask it for what they need.\n\n"
	    "  -c FILE        configuration (%s)\n"
	    "  -d             log more\n"
	    "  -f             log to stderr\n"
	    "  -h, --help     this text\n"
	    "  -k             make the key that it shares with holdfast-auth, if there is none\n"
	    "  -V, --version  version\n",
	    CONF_DEFAULT);
}

/* For a service manager that starts us, but not this, without root. */
static int
make_key(struct validator *v)
{
	struct err e;
	int rv;

	rv = validator_conf_load(&v->conf, v->conf_path, &e);
	if (rv == 0)
		rv = start_make_key(v, &e);
	if (rv == -1)
		log_err_e("main", &e, "cannot make the grant key");
	validator_conf_free(&v->conf);
	return rv == 0 ? PROC_EXIT_OK : PROC_EXIT_CONFIG;
}

/* -1 to go on, else the exit code. */
static int
parse_options(struct validator *v, int argc, char **argv)
{
	unsigned int flags = 0;
	int c, key_only = 0;

	v->conf_path = CONF_DEFAULT;
	while ((c = getopt_long(argc, argv, "c:dfhkV", long_options, NULL)) !=
	    -1) {
		if (c == 'c') {
			v->conf_path = optarg;
		} else if (c == 'd') {
			flags |= LOG_F_DEBUG;
		} else if (c == 'f') {
			flags |= LOG_F_STDERR;
		} else if (c == 'h') {
			usage(stdout);
			return PROC_EXIT_OK;
		} else if (c == 'k') {
			key_only = 1;
		} else if (c == 'V') {
			printf("holdfast-validator %s\n", PACKAGE_VERSION);
			return PROC_EXIT_OK;
		} else {
			usage(stderr);
			return PROC_EXIT_USAGE;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return PROC_EXIT_USAGE;
	}
	log_init("holdfast-validator", flags);
	return key_only ? make_key(v) : -1;
}

/* --- signals --- */

static void
on_stop(int fd, short what, void *ctx)
{
	struct validator *v = ctx;

	(void)fd;
	(void)what;
	event_base_loopbreak(v->base);
}

static void
on_hangup(int fd, short what, void *ctx)
{
	struct err e;

	(void)fd;
	(void)what;
	proc_notify_reloading();
	if (validator_reload(ctx, &e) == -1)
		log_err_e("main", &e, "reload failed, the old stays");
	proc_notify("READY=1");
}

static void
on_child(int fd, short what, void *ctx)
{
	struct validator *v = ctx;

	(void)fd;
	(void)what;
	checker_pool_reap(v->checkers);
	jobs_reap(v->jobs);
}

static const struct {
	int signo;
	void (*cb)(int fd, short what, void *ctx);
} handled[] = {
    {SIGTERM, on_stop},
    {SIGINT, on_stop},
    {SIGHUP, on_hangup},
    {SIGCHLD, on_child},
};
#define NHANDLED (sizeof(handled) / sizeof(handled[0]))

/* --- serving --- */

/* From configuration to a sealed process; PROC_EXIT_OK or why not. */
static int
start(struct validator *v, int fds[2])
{
	struct err e;

	if (validator_conf_load(&v->conf, v->conf_path, &e) == -1) {
		log_err_e("main", &e, "configuration");
		return PROC_EXIT_CONFIG;
	}
	if (start_privileged(v, fds, &e) == -1) {
		log_err_e("main", &e, "cannot start");
		return PROC_EXIT_CONFIG;
	}
	if (start_drop(v, &e) == -1) {
		log_err_e("main", &e, "cannot drop privileges");
		return PROC_EXIT_SANDBOX;
	}
	if (start_state(v, &e) == -1) {
		log_err_e("main", &e, "cannot start");
		return PROC_EXIT_CONFIG;
	}
	if (start_seal(v, &e) == -1) {
		log_err_e("main", &e, "cannot seal the process");
		return PROC_EXIT_SANDBOX;
	}
	return PROC_EXIT_OK;
}

static void
make_pools(struct validator *v)
{
	struct store_pool_opts o = {0};
	struct vstore *vs;
	struct err e;
	size_t i;

	if ((v->local_pool = store_pool_new(v->base, NULL, &e)) == NULL)
		fatal_e("main", &e, "cannot make threads");
	store_flow_init(&v->verified_flow, v->local_pool, STORE_CLASS_IO, 1);
	for (i = 0; i < v->nstores; i++) {
		vs = v->stores[i];
		if (vs->store == NULL)
			continue;
		o.threads[STORE_CLASS_STAT] =
		    (unsigned int)vs->conf->stat_threads;
		o.threads[STORE_CLASS_IO] = (unsigned int)vs->conf->io_threads;
		if ((vs->pool = store_pool_new(v->base, &o, &e)) == NULL)
			fatal_e("main", &e, "cannot make threads");
		if ((vs->capacity = capacity_new(v, vs, &e)) == NULL)
			fatal_e("main", &e, "cannot look at the usage");
	}
}

static void
make_modules(struct validator *v)
{
	char *checker = xasprintf("%s/holdfast-checker", v->conf.libexec_dir);
	struct err e;

	make_pools(v);
	v->grants = grant_seen_new();
	v->checkers = checker_pool_new(v->base, checker,
	    (unsigned int)v->conf.spare_checkers, &e);
	free(checker);
	if (v->checkers == NULL)
		fatal_e("main", &e, "cannot make checkers");
	v->jobs = jobs_new(v);
	if ((v->verifier = verifier_new(v, &e)) == NULL)
		fatal_e("main", &e, "cannot read which snapshots are new");
	v->edits = manifest_edits_new(v);
	if ((v->sessions = sessions_new(v, &e)) == NULL ||
	    sessions_recover(v->sessions, &e) == -1)
		fatal_e("main", &e, "cannot take over sessions");
	verifier_start(v->verifier);
	if ((v->schedule = schedule_new(v, io_realtime_s, &e)) == NULL)
		fatal_e("main", &e, "cannot read the schedule");
}

/* Sessions stay as they are: the next process goes on with them. */
static void
free_modules(struct validator *v)
{
	size_t i;

	sessions_suspend(v->sessions);
	jobs_stop_all(v->jobs);
	peers_free(&v->peers);
	checker_pool_stop(v->checkers);
	for (i = 0; i < v->nstores; i++) {
		store_pool_free(&v->stores[i]->pool);
		capacity_free(&v->stores[i]->capacity);
	}
	store_pool_free(&v->local_pool);
	sessions_free(&v->sessions);
	jobs_free(&v->jobs);
	schedule_free(&v->schedule);
	verifier_free(&v->verifier);
	manifest_edits_free(&v->edits);
	checker_pool_free(&v->checkers);
	grant_seen_free(v->grants);
}

static void
serve(struct validator *v, const int fds[2])
{
	struct event *events[NHANDLED], *watchdog;
	struct control *control;
	struct err e;
	size_t i;

	for (i = 0; i < NHANDLED; i++)
		if ((events[i] = proc_signal(v->base, handled[i].signo,
			 handled[i].cb, v, &e)) == NULL)
			fatal_e("main", &e, "signals");
	make_modules(v);
	if ((v->peers = peers_new(v, fds[0], &e)) == NULL ||
	    (control = control_new(v, fds[1], &e)) == NULL)
		fatal_e("main", &e, "sockets");
	if (proc_watchdog(v->base, &watchdog, &e) == -1)
		fatal_e("main", &e, "cannot start");
	audit_watch(v->audit, v->base);
	log_info("main", "ready");
	proc_notify("READY=1");
	event_base_dispatch(v->base);
	proc_notify("STOPPING=1");
	control_free(&control);
	free_modules(v);
	if (watchdog != NULL)
		event_free(watchdog);
	for (i = 0; i < NHANDLED; i++)
		event_free(events[i]);
}

int
main(int argc, char **argv)
{
	struct validator v = {0};
	int fds[2] = {-1, -1}, code;

	code = parse_options(&v, argc, argv);
	if (code != -1)
		return code;
	proc_signals_init();
	v.started = io_realtime_s();
	io_random(&v.boot, sizeof(v.boot));
	code = start(&v, fds);
	if (code != PROC_EXIT_OK)
		return code;
	if ((v.base = event_base_new()) == NULL)
		fatal("main", "no event loop");
	serve(&v, fds);
	start_undo(&v);
	event_base_free(v.base);
	return PROC_EXIT_OK;
}

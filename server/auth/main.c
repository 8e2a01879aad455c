/*
 * holdfast-auth: accounts, keys, and the word on who may do what.  Started by
 * the master as root (or as the one ordinary user) and started again when it
 * ends.  Runs as holdfast-auth; hears workers, which it distrusts, and the
 * operator's command.
 */
#include "config.h"

#include <sys/wait.h>

#include <signal.h>
#include <stdlib.h>

#include <event2/event.h>

#include "common/audit.h"
#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/peer_process.h"
#include "common/mem.h"
#include "common/proc.h"
#include "server/auth/auth.h"
#include "server/auth/auth_init.h"
#include "server/auth/hasher.h"
#include "server/auth/secrets.h"
#include "server/auth/tls_identity.h"
#include "server/options.h"

#define SUB "auth"

static void
on_stop(int fd, short what, void *ctx)
{
	struct auth *a = ctx;

	(void)fd;
	(void)what;
	event_base_loopexit(a->base, NULL);
}

static void
on_parent_gone(void *ctx)
{
	struct auth *a = ctx;

	log_info(SUB, "the server is gone");
	event_base_loopexit(a->base, NULL);
}

static void
on_hangup(int fd, short what, void *ctx)
{
	struct err e;

	(void)fd;
	(void)what;
	proc_notify_reloading();
	if (auth_reload(ctx, &e) == -1)
		log_err_e(SUB, &e, "reload failed, the old certificate stays");
	else
		log_info(SUB, "certificate reloaded");
	proc_notify("READY=1");
}

static void
on_child(int fd, short what, void *ctx)
{
	struct auth *a = ctx;
	int status;
	pid_t pid;

	(void)fd;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		hasher_pool_reaped(a->hashers, pid, status);
}

/* Where an operator looks for it who has just installed the server. */
static void
log_fingerprint(const struct auth *a)
{
	struct json *about = tls_identity_describe(a->identity);
	const char *text = json_get_str(about, "fingerprint", NULL);

	log_info(SUB, "certificate fingerprint=%s", text != NULL ? text : "?");
	json_free(&about);
}

/* From configuration to a sealed process; PROC_EXIT_OK or why not. */
static int
start(struct auth *a, int fds[2])
{
	int locked;
	struct err e;

	if (server_conf_load(&a->conf, a->conf_path, &e) == -1) {
		log_err_e(SUB, &e, "configuration");
		return PROC_EXIT_CONFIG;
	}
	a->secrets = secrets_new(&locked);
	if (auth_init_privileged(a, fds, &e) == -1) {
		log_err_e(SUB, &e, "cannot start");
		return PROC_EXIT_CONFIG;
	}
	if (auth_init_drop(a, &e) == -1) {
		log_err_e(SUB, &e, "cannot drop privileges");
		return PROC_EXIT_SANDBOX;
	}
	if (auth_init_state(a, &e) == -1) {
		log_err_e(SUB, &e, "cannot start");
		return PROC_EXIT_CONFIG;
	}
	if (auth_init_seal(a, &e) == -1) {
		log_err_e(SUB, &e, "cannot seal the process");
		return PROC_EXIT_SANDBOX;
	}
	return PROC_EXIT_OK;
}

static void
serve(struct auth *a, const int fds[2])
{
	static const struct {
		int signo;
		void (*cb)(int fd, short what, void *ctx);
	} handled[] = {
	    {SIGTERM, on_stop},
	    {SIGINT, on_stop},
	    {SIGHUP, on_hangup},
	    {SIGCHLD, on_child},
	};
	struct event *events[6] = {NULL};
	struct ipc_listener *workers, *controls;
	char *hasher = xasprintf("%s/%s", a->conf.libexec_dir, HASHER_PROGRAM);
	struct err e;
	size_t i;

	for (i = 0; i < 4; i++) {
		events[i] = proc_signal(a->base, handled[i].signo,
		    handled[i].cb, a, &e);
		if (events[i] == NULL)
			fatal_e(SUB, &e, "signals");
	}
	workers =
	    ipc_listener_new(a->base, fds[0], worker_peer_accepted, a, &e);
	if (workers == NULL)
		fatal_e(SUB, &e, "socket of workers");
	controls = ipc_listener_new(a->base, fds[1], control_accepted, a, &e);
	if (controls == NULL)
		fatal_e(SUB, &e, "control socket");
	a->hashers = hasher_pool_new(a->base, hasher);
	free(hasher);
	if (getenv(PROC_ENV_GENERATION) != NULL) {
		events[4] = proc_watch_parent(a->base, PROC_FD_DEAD,
		    on_parent_gone, a, &e);
		if (events[4] == NULL ||
		    proc_status_send(PROC_STATE_READY, 0, &e) == -1)
			fatal_e(SUB, &e, "not started by holdfast-server");
	}
	if (proc_watchdog(a->base, &events[5], &e) == -1)
		fatal_e(SUB, &e, "cannot start");
	audit_watch(a->audit, a->base);
	log_fingerprint(a);
	log_info(SUB, "ready");
	proc_notify("READY=1");
	event_base_dispatch(a->base);
	proc_notify("STOPPING=1");
	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i] != NULL)
			event_free(events[i]);
	}
	ipc_listener_free(&workers);
	ipc_listener_free(&controls);
}

int
main(int argc, char **argv)
{
	struct auth a = {.admin_gid = (gid_t)-1};
	struct server_options options;
	int fds[2] = {-1, -1}, code;

	server_options_parse(&options, argc, argv, "holdfast-auth",
	    "Keeps accounts and keys; started by holdfast-server, or a service of its own.");
	log_init("holdfast-auth",
	    LOG_F_INHERIT | (options.debug ? LOG_F_DEBUG : 0) |
		(options.foreground ? LOG_F_STDERR : 0));
	a.conf_path = options.conf_path;
	proc_signals_init();
	a.started = io_realtime_s();
	LIST_INIT(&a.workers);
	LIST_INIT(&a.controls);
	code = start(&a, fds);
	if (code != PROC_EXIT_OK)
		return code;
	a.base = event_base_new();
	if (a.base == NULL)
		fatal(SUB, "no event loop");
	a.processes = peer_processes_new(a.base);
	serve(&a, fds);
	auth_fini(&a);
	peer_processes_free(&a.processes);
	event_base_free(a.base);
	return PROC_EXIT_OK;
}

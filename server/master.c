/*
 * The server's parent process.  Runs as root or as the user who started it,
 * without a file system of its own concern: it accepts, counts and starts,
 * and reads no byte from the network.
 */
#include "config.h"

#include "server/master.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/path.h"
#include "common/sandbox.h"
#include "server/master_int.h"

/* A socket for each worker, and our own. */
#define FILES_WANTED(m) ((m)->conf.max_workers + (m)->conf.spare_workers + 256)

/* --- the end ------------------------------------------------------------- */

void
master_check_drained(struct master *m)
{
	if (m->draining == 0 || pool_total(m) > 0)
		return;
	/* Last, since the sessions needed it. */
	if (m->auth.pid != 0 && !m->auth.stopping)
		auth_stop(m, SIGTERM);
	if (m->auth.pid == 0)
		event_base_loopexit(m->base, NULL);
}

static void
master_stop_now(struct master *m)
{
	pool_kill(m, m->draining > 2 ? SIGKILL : SIGTERM);
	if (m->draining > 2)
		auth_stop(m, SIGKILL);
	master_check_drained(m);
}

static void
master_set_limit(struct master *m, uint64_t ms)
{
	struct timeval tv = {(time_t)(ms / 1000),
	    (suseconds_t)(ms % 1000) * 1000};

	evtimer_add(m->drain_limit, &tv);
}

static void
master_on_drain_limit(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;

	(void)fd;
	(void)what;
	log_warn("master", "not drained in time workers=%u", pool_total(m));
	m->draining++;
	master_set_limit(m, PROC_STOP_MS);
	master_stop_now(m);
}

static void
master_on_term(evutil_socket_t signo, short what, void *arg)
{
	struct master *m = arg;

	(void)what;
	m->draining++;
	log_info("master", "%s signal=%d connections=%u",
	    m->draining == 1 ? "stopping when sessions have ended"
			     : "stopping now",
	    (int)signo, pool_busy(m));
	proc_notify("STOPPING=1");
	if (m->draining == 1) {
		listen_stop(m);
		pool_drain(m);
		master_set_limit(m, m->conf.drain_ms);
		master_check_drained(m);
	} else {
		master_set_limit(m, PROC_STOP_MS);
		master_stop_now(m);
	}
}

/*
 * Our successor takes over what is new (systemd starts it as soon as we have
 * gone); workers go on by themselves to the end of their sessions.
 */
static void
master_on_hand_over(evutil_socket_t signo, short what, void *arg)
{
	struct master *m = arg;

	(void)signo;
	(void)what;
	log_info("master", "leaving, sessions go on connections=%u",
	    pool_busy(m));
	proc_notify("STOPPING=1");
	m->draining++;
	listen_stop(m);
	pool_drain(m);
	event_base_loopexit(m->base, NULL);
}

/* --- children ------------------------------------------------------------ */

static void
master_on_child(evutil_socket_t signo, short what, void *arg)
{
	struct master *m = arg;
	int status;
	pid_t pid;

	(void)signo;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (!auth_reap(m, pid, status))
			pool_reap(m, pid, status);
	}
	master_check_drained(m);
}

void
master_progress(struct master *m)
{
	if (!pool_has_spare(m)) {
		pool_fill(m);
		return;
	}
	if (m->serving)
		return;
	m->serving = 1;
	log_info("master", "serving");
	proc_notify("READY=1");
}

/* --- reload -------------------------------------------------------------- */

static void
master_on_hup(evutil_socket_t signo, short what, void *arg)
{
	struct master *m = arg;
	struct server_conf conf;
	const char *fixed;
	struct err e = {0};

	(void)signo;
	(void)what;
	if (m->draining)
		return;
	if (server_conf_load(&conf, m->conf_path, &e) == -1) {
		log_err_e("master", &e, "keeping the old configuration");
		return;
	}
	proc_notify_reloading();
	fixed = conf_changed(server_conf_opts, &m->conf, &conf);
	if (fixed != NULL)
		log_warn("master",
		    "option needs a restart to take effect option=%s", fixed);
	server_conf_free(&m->conf);
	m->conf = conf;
	m->generation++;
	auth_reload(m);
	pool_renew(m);
	log_info("master", "configuration read again");
	proc_notify("READY=1");
}

/* --- start --------------------------------------------------------------- */

static void
master_folders(struct master *m)
{
	int root = geteuid() == 0;
	gid_t admin = 0;
	struct err e = {0};

	m->worker_dir = xasprintf("%s/worker", m->conf.run_dir);
	m->admin_dir = xasprintf("%s/admin", m->conf.run_dir);
	if ((root && proc_group(m->conf.admin_group, &admin, &e) == -1) ||
	    path_make_folder(m->conf.run_dir, 0755, 0, 0, &e) == -1 ||
	    path_make_folder(m->worker_dir, 0755, 0, 0, &e) == -1 ||
	    path_make_folder(m->admin_dir, root ? 0750 : 0700, 0, admin, &e) ==
		-1)
		fatal_e("master", &e, "cannot prepare the folder of sockets");
}

static void
master_signals(struct master *m)
{
	static const struct {
		int signo;
		void (*cb)(int fd, short what, void *ctx);
	} rows[] = {
	    {SIGTERM, master_on_term},
	    {SIGINT, master_on_term},
	    {SIGHUP, master_on_hup},
	    {SIGUSR1, master_on_hand_over},
	    {SIGCHLD, master_on_child},
	};
	struct err e = {0};
	size_t i;

	_Static_assert(sizeof(rows) / sizeof(rows[0]) <=
		sizeof(m->signals) / sizeof(m->signals[0]),
	    "a place for each signal");
	proc_signals_init();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		m->signals[i] =
		    proc_signal(m->base, rows[i].signo, rows[i].cb, m, &e);
		if (m->signals[i] == NULL)
			fatal_e("master", &e, "cannot watch a signal");
	}
}

struct master *
master_new(struct server_conf *conf, const char *conf_path, int auth_apart)
{
	struct master *m = xcalloc(1, sizeof(*m));
	struct err e = {0};

	m->conf = *conf;
	memset(conf, 0, sizeof(*conf));
	m->conf_path = conf_path;
	m->base = event_base_new();
	if (m->base == NULL)
		fatal("master", "cannot make an event base");
	m->addresses = address_count_new();
	m->drain_limit = evtimer_new(m->base, master_on_drain_limit, m);
	if (m->drain_limit == NULL)
		fatal("master", "cannot make a timer");
	master_signals(m);
	master_folders(m);
	listen_init(m);
	pool_init(m);
	auth_init(m, auth_apart);
	if (proc_want_files(FILES_WANTED(m), &e) == -1)
		log_warn_e("master", &e, "fewer connections than max-workers");
	if (proc_harden(0, &e) == -1)
		fatal_e("master", &e, "cannot harden the process");
	if (sandbox_enter(SANDBOX_MASTER, NULL, 0,
		SANDBOX_F_STARTER | SANDBOX_F_NO_LANDLOCK |
		    (m->conf.require_sandbox ? SANDBOX_F_REQUIRE : 0),
		&e) == -1) {
		log_err_e("master", &e, "cannot seal the process");
		exit(PROC_EXIT_SANDBOX);
	}
	auth_start(m);
	if (proc_watchdog(m->base, &m->watchdog, &e) == -1)
		fatal_e("master", &e, "cannot start");
	return m;
}

int
master_run(struct master *m)
{
	if (event_base_dispatch(m->base) == -1) {
		log_err("master", "event loop failed");
		m->exit_code = PROC_EXIT_FATAL;
	}
	log_info("master", "stopped");
	return m->exit_code;
}

void
master_free(struct master *m)
{
	size_t i;

	pool_fini(m);
	auth_fini(m);
	listen_fini(m);
	for (i = 0; i < sizeof(m->signals) / sizeof(m->signals[0]); i++) {
		if (m->signals[i] != NULL)
			event_free(m->signals[i]);
	}
	if (m->watchdog != NULL)
		event_free(m->watchdog);
	event_free(m->drain_limit);
	address_count_free(m->addresses);
	event_base_free(m->base);
	free(m->worker_dir);
	free(m->admin_dir);
	server_conf_free(&m->conf);
	free(m);
}

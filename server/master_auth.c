/*
 * The master's child holdfast-auth: its sockets, which outlive it, its start
 * and its restarts.  The master believes its status pipe and nothing else of
 * it.
 */
#include "config.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/master_int.h"

static void
auth_delay(struct master *m)
{
	uint32_t ms = proc_backoff_next(&m->auth.backoff);
	struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

	evtimer_add(m->auth.respawn, &tv);
}

static void
auth_close_pipes(struct master_auth *a)
{
	if (a->status != NULL)
		event_free(a->status);
	a->status = NULL;
	io_close(&a->status_fd);
	io_close(&a->dead_fd);
}

static void
auth_on_status(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;
	struct master_auth *a = &m->auth;
	struct proc_status s;
	struct err e = {0};
	int r;

	(void)what;
	while ((r = proc_status_recv(fd, &s, &e)) == 1) {
		if (s.pid != (uint32_t)a->pid ||
		    s.generation != a->generation ||
		    s.state != PROC_STATE_READY || a->ready)
			continue;
		log_info("master", "auth is ready pid=%d", (int)a->pid);
		a->ready = 1;
		event_del(a->start_limit);
		proc_backoff_reset(&a->backoff);
		master_progress(m);
	}
	if (r == -1) /* its end is told by SIGCHLD */
		event_del(a->status);
}

static void
auth_on_start_limit(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;

	(void)fd;
	(void)what;
	log_err("master", "auth did not get ready in time pid=%d",
	    (int)m->auth.pid);
	kill(m->auth.pid, SIGKILL);
}

static void
auth_on_respawn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	auth_start(arg);
}

/* --- starting ------------------------------------------------------------ */

static int
auth_exec(struct master *m, int status, int dead, struct err *e)
{
	struct master_auth *a = &m->auth;
	char *path = xasprintf("%s/holdfast-auth", m->conf.libexec_dir);
	char *argv[] = {(char *)"holdfast-auth", (char *)"-c",
	    (char *)m->conf_path, NULL};
	const int fds[] = {status, dead, a->worker_socket, a->admin_socket};
	const struct proc_spawn s = {
	    .path = path,
	    .argv = argv,
	    .fds = fds,
	    .nfds = 4,
	    .generation = ++a->generation,
	};
	pid_t pid = proc_spawn(&s, e);

	free(path);
	if (pid == -1)
		return -1;
	a->pid = pid;
	return 0;
}

static int
auth_spawn(struct master *m, struct err *e)
{
	static const struct timeval limit = {PROC_START_MS / 1000, 0};
	struct master_auth *a = &m->auth;
	int status[2] = {-1, -1}, dead[2] = {-1, -1};

	if (io_pipe(status, e) == -1 || io_pipe(dead, e) == -1 ||
	    io_set_nonblock(status[0], e) == -1 ||
	    auth_exec(m, status[1], dead[0], e) == -1) {
		io_close(&status[0]);
		io_close(&status[1]);
		io_close(&dead[0]);
		io_close(&dead[1]);
		return -1;
	}
	io_close(&status[1]);
	io_close(&dead[0]);
	a->status_fd = status[0];
	a->dead_fd = dead[1];
	a->status = event_new(m->base, a->status_fd, EV_READ | EV_PERSIST,
	    auth_on_status, m);
	if (a->status == NULL || event_add(a->status, NULL) == -1)
		fatal("master", "cannot watch auth");
	evtimer_add(a->start_limit, &limit);
	return 0;
}

void
auth_start(struct master *m)
{
	struct err e = {0};

	if (m->auth.apart) {
		m->auth.ready = 1;
		master_progress(m);
		return;
	}
	if (m->auth.pid != 0 || m->auth.stopping || auth_spawn(m, &e) == 0)
		return;
	log_err_e("master", &e, "cannot start auth");
	auth_delay(m);
}

/* As root: for this group only. */
static int
auth_socket(const char *dir, gid_t gid, struct err *e)
{
	char *path = xasprintf("%s/auth.sock", dir);
	int fd = ipc_listen(path, 0660, e);

	if (fd != -1 && geteuid() == 0 && lchown(path, 0, gid) == -1) {
		err_errno(e, errno, "cannot change the owner of %s", path);
		io_close(&fd);
	}
	free(path);
	return fd;
}

static void
auth_sockets(struct master *m)
{
	struct master_auth *a = &m->auth;
	gid_t workers = 0, admins = 0;
	uid_t uid;
	struct err e = {0};

	if (geteuid() == 0 &&
	    (proc_user(m->conf.user, &uid, &workers, &e) == -1 ||
		proc_group(m->conf.admin_group, &admins, &e) == -1))
		fatal_e("master", &e, "cannot find the users of the server");
	a->worker_socket = auth_socket(m->worker_dir, workers, &e);
	if (a->worker_socket == -1)
		fatal_e("master", &e, "cannot make auth's socket for workers");
	a->admin_socket = auth_socket(m->admin_dir, admins, &e);
	if (a->admin_socket == -1)
		fatal_e("master", &e, "cannot make auth's control socket");
}

void
auth_init(struct master *m, int apart)
{
	struct master_auth *a = &m->auth;

	a->apart = apart;
	a->status_fd = a->dead_fd = a->worker_socket = a->admin_socket = -1;
	if (!apart)
		auth_sockets(m);
	a->backoff.min_ms = PROC_BACKOFF_MIN_MS;
	a->backoff.max_ms = PROC_BACKOFF_MAX_MS;
	a->start_limit = evtimer_new(m->base, auth_on_start_limit, m);
	a->respawn = evtimer_new(m->base, auth_on_respawn, m);
	if (a->start_limit == NULL || a->respawn == NULL)
		fatal("master", "cannot make a timer");
}

/* --- later --------------------------------------------------------------- */

void
auth_reload(struct master *m)
{
	if (m->auth.pid != 0 && m->auth.ready)
		kill(m->auth.pid, SIGHUP);
}

void
auth_stop(struct master *m, int signo)
{
	m->auth.stopping = 1;
	event_del(m->auth.respawn);
	if (m->auth.pid != 0)
		kill(m->auth.pid, signo);
}

int
auth_reap(struct master *m, pid_t pid, int wait_status)
{
	struct master_auth *a = &m->auth;
	char text[128];

	if (a->pid != pid)
		return 0;
	a->pid = 0;
	a->ready = 0;
	event_del(a->start_limit);
	auth_close_pipes(a);
	if (a->stopping)
		return 1;
	log_err("master", "auth ended: %s pid=%d",
	    proc_exit_str(wait_status, text, sizeof(text)), (int)pid);
	/* A mistake in the configuration at the start is the operator's to
	 * see; later the old sockets wait for a better one. */
	if (!m->serving && WIFEXITED(wait_status) &&
	    WEXITSTATUS(wait_status) == PROC_EXIT_CONFIG) {
		m->exit_code = PROC_EXIT_CONFIG;
		event_base_loopexit(m->base, NULL);
		return 1;
	}
	auth_delay(m);
	return 1;
}

void
auth_fini(struct master *m)
{
	struct master_auth *a = &m->auth;

	auth_close_pipes(a);
	io_close(&a->worker_socket);
	io_close(&a->admin_socket);
	event_free(a->start_limit);
	event_free(a->respawn);
}

#ifndef SERVER_MASTER_INT_H
#define SERVER_MASTER_INT_H

/* Between the master_*.c files. */

#include <sys/queue.h>
#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/proc.h"
#include "common/token_bucket.h"
#include "server/address_count.h"
#include "server/server_conf.h"

struct event;
struct event_base;
struct ipc;
struct master;

/* --- workers (master_pool.c) --------------------------------------------- */

enum master_worker_state {
	MASTER_WORKER_STARTING,
	MASTER_WORKER_SPARE,
	MASTER_WORKER_BUSY,
	MASTER_WORKER_REFUSING, /* has a connection beyond a limit */
	MASTER_WORKER_LEAVING,  /* told to go, or broken */
};

struct master_worker {
	TAILQ_ENTRY(master_worker) link;
	struct master *master;
	pid_t pid;
	uint32_t generation; /* of the configuration that it has read */
	enum master_worker_state state;
	struct ipc *ipc;
	struct event *start_limit;
	int counted; /* addr is in master.addresses */
	struct address_key addr;
	char peer[IPC_PEER_MAX + 1];
	char auth_id[IPC_AUTHID_MAX + 1];
};
TAILQ_HEAD(master_workers, master_worker);

struct master_pool {
	struct master_workers workers;
	unsigned int count[MASTER_WORKER_LEAVING + 1];
	struct proc_backoff backoff;
	struct event *fill;
};

/* A connection on its way to a worker. */
struct master_conn {
	int fd; /* -1: none */
	struct address_key addr;
	char peer[ADDRESS_TEXT_MAX];
	int certificate;     /* the client must show one */
	const char *refusal; /* NULL: is served, and addr is counted */
};
/* Beyond a limit so many at a time are told why, others just closed. */
#define MASTER_REFUSING_MAX 16

void pool_init(struct master *m);
void pool_fini(struct master *m);
/* Starts as many as are missing, now or after a delay. */
void pool_fill(struct master *m);
/* 1 if a spare worker took the connection, and its fd is closed and -1; else
 * it is still the caller's. */
int pool_assign(struct master *m, struct master_conn *c);
int pool_has_spare(const struct master *m);
/* Connections that are served; those that are refused. */
unsigned int pool_busy(const struct master *m);
unsigned int pool_refusing(const struct master *m);
/* Spare workers end; new ones read the new configuration. */
void pool_renew(struct master *m);
/* No new ones; all end as soon as they may. */
void pool_drain(struct master *m);
void pool_kill(struct master *m, int signo);
/* Workers that still run, in any state. */
unsigned int pool_total(const struct master *m);
/* 1 if pid was one of them. */
int pool_reap(struct master *m, pid_t pid, int wait_status);

/* --- auth (master_auth.c) ------------------------------------------------ */

struct master_auth {
	int apart; /* a service of its own: nothing here concerns us */
	pid_t pid; /* 0: does not run */
	uint32_t generation;
	int ready;
	int stopping;
	int status_fd;
	int dead_fd; /* write end */
	int worker_socket;
	int admin_socket;
	struct event *status;
	struct event *start_limit;
	struct event *respawn;
	struct proc_backoff backoff;
};

/* The sockets, which the sandbox would forbid; ends the program if that
 * fails. */
void auth_init(struct master *m, int apart);
void auth_start(struct master *m);
void auth_fini(struct master *m);
void auth_reload(struct master *m);
void auth_stop(struct master *m, int signo);
int auth_reap(struct master *m, pid_t pid, int wait_status);

/* --- listeners (master_listen.c) ----------------------------------------- */

struct master_listener {
	struct master *master;
	int fd;
	int certificate; /* clients must show one */
	char name[ADDRESS_TEXT_MAX];
	struct event *accept;
};

struct master_listeners {
	struct master_listener *v;
	size_t n;
	int wanted; /* accepting, if there are spare workers */
	/* Accepted when all spare workers had just died. */
	struct master_conn waiting;
	struct event *retry;
	struct token_bucket log_rate; /* a flood must not fill the log */
};

/* Opens or inherits them; ends the program if that fails. */
void listen_init(struct master *m);
void listen_fini(struct master *m);
/* Accepts if there is somebody to serve, else lets the kernel queue. */
void listen_update(struct master *m);
void listen_stop(struct master *m);

/* --- the master (master.c) ----------------------------------------------- */

struct master {
	struct server_conf conf;
	const char *conf_path;
	char *worker_dir; /* RUN/worker */
	char *admin_dir;  /* RUN/admin */
	struct event_base *base;
	struct master_listeners listeners;
	struct master_pool pool;
	struct master_auth auth;
	struct address_count *addresses;
	uint32_t generation;
	int serving;  /* the first worker was ready */
	int draining; /* counts the signals */
	struct event *signals[6];
	struct event *drain_limit;
	struct event *watchdog;
	int exit_code;
};

/* auth or the first worker is ready. */
void master_progress(struct master *m);
/* A child has gone: is everything over? */
void master_check_drained(struct master *m);

#endif

#ifndef COMMON_PROC_H
#define COMMON_PROC_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

struct err;
struct event;
struct event_base;

/*
 * The contract between a parent and the programs that it starts, on one page.
 *
 * Descriptors in the child; everything from the first unused number on is
 * closed.  0 is /dev/null, 1 and 2 are the parent's stderr.
 *
 *             worker            auth               hasher   checker  job
 *   3 STATUS  status pipe, write end: one struct proc_status a change; not
 *             for workers, who say WRK_READY, and jobs
 *   4 DEAD    read end of a pipe whose write end only the parent holds; not
 *             for workers, to whom MAIN shows it, and jobs, who are killed
 *   5 MAIN    seqpacket, the   listening socket   seqpacket socket to the
 *             master passes    for workers        parent, peer's messages
 *             its connection
 *   6 EXTRA   -                control socket     -        -        folder of
 *                                                                 the store
 *   7 CHUNKS  -                -                  -        -        its .chunks
 *
 * Environment: nothing is inherited but PATH, LANG, TZ and the names below.
 */
enum proc_fd {
	PROC_FD_STATUS = 3,
	PROC_FD_DEAD = 4,
	PROC_FD_MAIN = 5,
	PROC_FD_EXTRA = 6,
	PROC_FD_CHUNKS = 7,
	PROC_FD_MAX = 16, /* more than any child gets */
};

#define PROC_ENV_GENERATION                                            \
	"HOLDFAST_GENERATION"               /* decimal, in each status \
					     */
#define PROC_ENV_LOG "HOLDFAST_LOG"         /* set by log_init() */
#define PROC_ENV_SANDBOX "HOLDFAST_SANDBOX" /* see sandbox.h */

/* Limits of time, derived from each other. */
enum proc_time_ms {
	PROC_START_MS = 30 * 1000, /* first status, else the child is killed */
	PROC_STOP_MS = 10 * 1000,  /* from SIGTERM to SIGKILL */
	PROC_BACKOFF_MIN_MS = 100, /* delay of a respawn or reconnect */
	PROC_BACKOFF_MAX_MS = 60000,  /* of a respawn */
	PROC_RECONNECT_MAX_MS = 2000, /* of a reconnect to the validator */
	PROC_RESUME_MS = 60 * 1000,   /* session waits for its worker, from the
					 validator's start or the lost peer */
	PROC_GRANT_MS = 60 * 1000,    /* life of a grant */
	PROC_CALL_WAIT_MS = 5 * 1000, /* a REST call waits for the validator */
	PROC_SIGN_MS = 10 * 1000,     /* the signature of a TLS handshake */
};

/* Limits of number, likewise. */
enum proc_count {
	PROC_CLIENTS_MAX = 8192, /* max-workers */
	PROC_SPARE_MAX = 1024,   /* spare-workers */
	/* Those of a master that leaves end their sessions beside those of the
	 * next one. */
	PROC_WORKERS_MAX = 2 * (PROC_CLIENTS_MAX + PROC_SPARE_MAX),
	/* Connections of one worker to auth, or to the validator.  It has one,
	 * another to the validator while it reads a file or asks for health,
	 * and those whose end is not seen yet. */
	PROC_WORKER_CONNS_MAX = 8,
};

/* Exit codes.  0 only for a wanted end; proc_exit_str() says what it was. */
enum proc_exit {
	PROC_EXIT_OK = 0,
	PROC_EXIT_FATAL = 1, /* fatal(): broken invariant, out of memory */
	PROC_EXIT_USAGE = 2,
	PROC_EXIT_CONFIG = 3,  /* a respawn will not help */
	PROC_EXIT_SANDBOX = 4, /* could not drop privileges or seal itself */
	PROC_EXIT_PARENT = 5,  /* the parent is gone */
	PROC_EXIT_PROTO = 6,   /* a sibling broke the protocol */
};
/* "exit 3 (configuration)", "killed by a denied system call". Returns dst. */
const char *proc_exit_str(int wait_status, char *dst, size_t dst_size);

/* What a child says on its status pipe, 16 bytes, little-endian, one write.
 * Believe it only if pid and generation are those of the child started. */
enum proc_state {
	PROC_STATE_READY = 1, /* start-up done, sealed, waiting for work */
	PROC_STATE_BUSY = 2,  /* has work (a worker: its connection) */
	PROC_STATE_IDLE = 3,  /* done with it */
};
#define PROC_STATUS_LEN 16
struct proc_status {
	uint32_t pid;
	uint32_t generation;
	uint32_t state; /* enum proc_state, checked when read */
	uint32_t arg;   /* by state; 0 */
};
/* From PROC_FD_STATUS with our pid and PROC_ENV_GENERATION; never blocks. */
int proc_status_send(enum proc_state state, uint32_t arg, struct err *e);
/* 1 and one status, 0 if there is none now (non-blocking fd), -1: ERR_ABORTED
 * at end of file, ERR_PROTO. */
int proc_status_recv(int fd, struct proc_status *out, struct err *e);

/* Starts a program. */
struct proc_spawn {
	const char *path;
	char *const *argv; /* argv[0] first, NULL last */
	const int *fds;    /* become 3, 4, 5, ...; -1 leaves a number closed */
	int nfds;          /* at most PROC_FD_MAX */
	uint32_t generation;
	int death_signal; /* to the child when the starting thread ends, 0: none
			   */
};
/*
 * fork and exec; the pid, or -1 also if exec failed (ERR_NOT_FOUND, ...).
 * fds stay the caller's.  Signals are at their defaults in the child, and
 * none is blocked.  Safe with threads.  Blocks until exec.
 */
pid_t proc_spawn(const struct proc_spawn *s, struct err *e);

/* First in a program that only another one starts: if somebody tries it by
 * hand, says so (or the version, if asked) and ends the process. */
void proc_started_by(const char *parent, const char *program, int argc,
    char **argv);

/*
 * For start-up of every child, in this order: read configuration, open what
 * needs privilege, proc_close_from(), proc_chroot() and proc_isolate_net(),
 * proc_drop(), proc_harden(), sandbox_enter(), then the first byte from
 * outside.
 */
int proc_close_from(int first, struct err *e); /* but the log's */
/* Both need root; the caller decides what a refusal means. */
int proc_chroot(const char *dir, struct err *e);
int proc_isolate_net(struct err *e);
int proc_user(const char *name, uid_t *uid_out, gid_t *gid_out, struct err *e);
int proc_group(const char *name, gid_t *gid_out, struct err *e);
/*
 * Groups, gid and uid for good, and proves that they cannot come back.  When
 * not root: only checks that we already are that uid.  Supplementary groups
 * become exactly those given.
 */
int proc_drop(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups,
    struct err *e);
/* Not dumpable, no core, death_signal if not 0 (and ERR_ABORTED if the parent
 * is already gone). After proc_drop(), which resets both. */
int proc_harden(int death_signal, struct err *e);
int proc_limit(int resource, uint64_t limit, struct err *e); /* RLIMIT_* */
/* So many descriptors, or as many as may be had: -1, ERR_LIMIT says how
 * many. */
int proc_want_files(uint64_t n, struct err *e);

/* Calls gone(ctx) from the loop once PROC_FD_DEAD shows that the parent is
 * gone.  The event is the caller's (event_free()). */
struct event *proc_watch_parent(struct event_base *base, int fd,
    void (*gone)(void *ctx), void *ctx, struct err *e);
/* Signals only this way; the event is the caller's (event_free()).  SIGPIPE and
 * SIGXFSZ are ignored by proc_signals_init(), to be called first. */
void proc_signals_init(void);
struct event *proc_signal(struct event_base *base, int signo,
    void (*cb)(int fd, short what, void *ctx), void *ctx, struct err *e);

/* Delay that doubles with every fault, capped, less up to a quarter at random
 * so that many do not come at once. */
struct proc_backoff {
	uint32_t min_ms;
	uint32_t max_ms;
	uint32_t faults;
};
uint32_t proc_backoff_next(struct proc_backoff *b);
void proc_backoff_reset(struct proc_backoff *b);

/* systemd; all do nothing when it is not there. */
void proc_notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Followed by "READY=1". */
void proc_notify_reloading(void);
uint64_t proc_watchdog_ms(void); /* half the interval asked for, or 0 */
/* Signs of life from the loop, as often as asked for; *out is the caller's
 * (event_free()), NULL if nobody asks. */
int proc_watchdog(struct event_base *base, struct event **out, struct err *e);
/* The inherited listening socket of that FileDescriptorName, O_CLOEXEC, or
 * -1 if none; of several the one at that place.  The caller's. */
int proc_listen_fd(const char *name, int index);

#endif

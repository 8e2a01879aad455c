#ifndef COMMON_PEER_PROCESS_H
#define COMMON_PEER_PROCESS_H

#include <sys/types.h>

#include "common/err.h"

struct event_base;

/*
 * Which processes are connected to a socket of ours, by the kernel's word on
 * each (ipc_peer_pid()): so that one that was captured cannot take the room of
 * all, nor have again, on another connection, what each may have once.
 */
struct peer_processes;
struct peer_process;

struct peer_processes *peer_processes_new(struct event_base *base);
/* When all have left. */
void peer_processes_free(struct peer_processes **ps);

/* One connection more of this process; NULL if it has max of them. */
struct peer_process *peer_process_enter(struct peer_processes *ps, pid_t pid,
    unsigned int max);
/* One less; accepts NULL. */
void peer_process_leave(struct peer_process **p);

/* 0 the first time for this process; ERR_PROTO whenever it asks again, on
 * whichever connection, until it has ended. */
int peer_process_once(struct peer_process *p, struct err *e);

#endif

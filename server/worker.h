#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "server/server_conf.h"

struct worker;

/*
 * The life of a worker process: starts up, seals itself, greets the master
 * (PROC_FD_MAIN), takes one connection, serves it, and is done.  conf must
 * outlive it.  The start blocks, and ends the process if it fails.
 */
struct worker *worker_new(const struct server_conf *conf);
/* Until the connection is over; returns the exit code. */
int worker_run(struct worker *w);
void worker_free(struct worker *w);

#endif

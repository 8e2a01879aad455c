#ifndef SERVER_MASTER_H
#define SERVER_MASTER_H

#include "server/server_conf.h"

struct master;

/*
 * holdfast-server itself: listens, keeps auth and a pool of workers, and
 * hands each connection to one of them.
 *
 * Takes conf (which it reads anew from conf_path at SIGHUP).  The start ends
 * the process if it fails.
 */
struct master *master_new(struct server_conf *conf, const char *conf_path);
/* Until a signal ends it and everything is drained; returns the exit code. */
int master_run(struct master *m);
void master_free(struct master *m);

#endif

#ifndef SERVER_MASTER_H
#define SERVER_MASTER_H

#include "server/server_conf.h"

struct master;

/*
 * holdfast-server itself: listens, keeps auth and a pool of workers, and
 * hands each connection to one of them.  SIGTERM ends it when all sessions
 * have ended, SIGUSR1 at once while they go on.
 *
 * Takes conf (which it reads anew from conf_path at SIGHUP).  The start ends
 * the process if it fails.  auth_apart: holdfast-auth is a service of its own,
 * not our child.
 */
struct master *master_new(struct server_conf *conf, const char *conf_path,
    int auth_apart);
/* Until a signal ends it and everything is drained; returns the exit code. */
int master_run(struct master *m);
void master_free(struct master *m);

#endif

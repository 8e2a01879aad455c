#ifndef SERVER_AUTH_AUTH_INIT_H
#define SERVER_AUTH_AUTH_INIT_H

struct auth;
struct err;

/* For main.c: start-up and reload of holdfast-auth, in this order. */

/* With the privileges we were started with: users, grant key, folders and
 * sockets (fds_out: of workers, of commands). */
int auth_init_privileged(struct auth *a, int fds_out[2], struct err *e);
/* For good. */
int auth_init_drop(struct auth *a, struct err *e);
/* As the user we stay: keys, accounts, certificate. */
int auth_init_state(struct auth *a, struct err *e);
int auth_init_seal(struct auth *a, struct err *e);
void auth_fini(struct auth *a);

/* Certificate and key anew, for connections from now on; on failure the old
 * ones stay. */
int auth_reload(struct auth *a, struct err *e);

#endif

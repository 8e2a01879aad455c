#ifndef SERVER_SERVER_CONF_H
#define SERVER_SERVER_CONF_H

#include <stdint.h>

#include "common/audit.h"
#include "common/conf.h"

struct err;

/*
 * server.conf: read by the master, its workers and auth, each for itself.
 * The table of options is in server_conf.c.
 */
struct server_conf {
	struct conf_list listen; /* "address:port", "[address]:port" */
	char *run_dir;
	char *state_dir;
	char *libexec_dir;
	char *user;            /* of the workers, when started as root */
	char *auth_user;       /* of auth, likewise */
	char *admin_group;     /* may use the control sockets, likewise */
	char *tls_certificate; /* PEM, the leaf first; "": our own */
	char *tls_key;         /* PEM; "": our own */
	char *client_ca;       /* PEM; "": clients need no certificate */
	/* Those of listen where they need one; none: all of them. */
	struct conf_list client_ca_listen;
	uint64_t spare_workers;
	uint64_t max_workers;
	uint64_t max_per_address;
	uint64_t max_per_user;
	uint64_t login_failures; /* per address */
	uint64_t handshake_ms;
	uint64_t drain_ms;
	struct audit_limits audit;
	int require_sandbox;
};

extern const struct conf_opt server_conf_opts[];

#define SERVER_CONF_DEFAULT SYSCONFDIR "/server.conf"

/* 0 or -1; the caller ends with server_conf_free(). */
int server_conf_load(struct server_conf *c, const char *path, struct err *e);
void server_conf_free(struct server_conf *c);

#endif

/*
 * The options of server.conf, for the master, the workers and auth.  The file
 * is the operator's; a mistake in it is an error with file and line, never a
 * guess.
 */
#include "config.h"

#include "server/server_conf.h"

#include <stddef.h>

#include "common/err.h"
#include "common/proc.h"

#define OPT(opt, kind, member, deflt, opt_flags, text)               \
	{                                                            \
		.name = (opt), .type = (kind),                       \
		.offset = offsetof(struct server_conf, member),      \
		.def = (deflt), .flags = (opt_flags), .doc = (text), \
	}

#define NUM(opt, kind, member, deflt, lowest, highest, opt_flags, text) \
	{                                                               \
		.name = (opt), .type = (kind),                          \
		.offset = offsetof(struct server_conf, member),         \
		.def = (deflt), .min = (lowest), .max = (highest),      \
		.flags = (opt_flags), .doc = (text),                    \
	}

const struct conf_opt server_conf_opts[] = {
    OPT("listen", CONF_LIST, listen, "[::]:8007", 0,
	"Addresses and ports to listen on. Not used if systemd passes the sockets."),
    OPT("run-dir", CONF_STR, run_dir, RUNSTATEDIR "/holdfast", 0,
	"Folder of the sockets."),
    OPT("state-dir", CONF_STR, state_dir, LOCALSTATEDIR "/lib/holdfast", 0,
	"Folder of accounts and keys."),
    OPT("libexec-dir", CONF_STR, libexec_dir, HOLDFAST_LIBEXECDIR, 0,
	"Folder of the programs that the server starts."),
    OPT("user", CONF_STR, user, "holdfast", 0,
	"User of the workers, if the server is started as root."),
    OPT("auth-user", CONF_STR, auth_user, "holdfast-auth", 0,
	"User of holdfast-auth, if the server is started as root."),
    OPT("admin-group", CONF_STR, admin_group, "holdfast-admin", 0,
	"Group that may use holdfast-admin, if the server is started as root."),
    OPT("tls-certificate", CONF_STR, tls_certificate, NULL, CONF_F_RELOAD,
	"Certificate chain (PEM), the server's own first. Empty: a self-signed one that holdfast-auth makes and keeps. The user of holdfast-auth must be able to read it."),
    OPT("tls-key", CONF_STR, tls_key, NULL, CONF_F_RELOAD,
	"Private key (PEM) of that certificate: RSA, EC or Ed25519."),
    OPT("client-ca", CONF_STR, client_ca, NULL, CONF_F_RELOAD,
	"Authorities (PEM) of client certificates. If given, a client without such a certificate cannot connect."),
    OPT("client-ca-listen", CONF_LIST, client_ca_listen, NULL, 0,
	"Addresses, as in listen, where that is so; others need no certificate. Empty: all."),
    NUM("spare-workers", CONF_UINT, spare_workers, "4", 1, PROC_SPARE_MAX,
	CONF_F_RELOAD, "Workers that wait for a connection."),
    NUM("max-workers", CONF_UINT, max_workers, "1024", 1, PROC_CLIENTS_MAX,
	CONF_F_RELOAD, "Connections at a time, all clients together."),
    NUM("max-connections-per-address", CONF_UINT, max_per_address, "256", 1,
	65536, CONF_F_RELOAD,
	"Connections at a time from one address (of IPv6: one /64 network)."),
    NUM("max-connections-per-user", CONF_UINT, max_per_user, "256", 1, 65536,
	CONF_F_RELOAD,
	"Connections at a time on which one user, or one of his API tokens, is logged in."),
    NUM("login-failures-per-address", CONF_UINT, login_failures, "30", 0, 1000,
	0,
	"Wrong passwords or token secrets from one address (of IPv6: one /64 network) before passwords from there are refused; one more is allowed every 10 seconds. 0: no limit. Read when holdfast-auth starts."),
    NUM("handshake-timeout", CONF_DURATION, handshake_ms, "10s", 100, 600000,
	CONF_F_RELOAD, "Time for a client's TLS handshake."),
    NUM("drain-timeout", CONF_DURATION, drain_ms, "1h", 0, 0, CONF_F_RELOAD,
	"How long running sessions may go on when the server is stopped by SIGTERM."),
    NUM("audit-file-size", CONF_SIZE, audit.file_size, "16M", 4096, 1 << 30, 0,
	"Size at which a file of the audit log is full and the next one begins. Read when holdfast-auth starts."),
    NUM("audit-files", CONF_UINT, audit.files, "64", 1, 100000, 0,
	"Full files of the audit log that are kept; the oldest are removed. Read when holdfast-auth starts."),
    OPT("require-sandbox", CONF_BOOL, require_sandbox, "no", 0,
	"Do not start on a kernel without Landlock."),
    {.name = NULL},
};

int
server_conf_load(struct server_conf *c, const char *path, struct err *e)
{
	if (conf_load(path, server_conf_opts, c, sizeof(*c), e) == -1)
		return -1;
	if (c->client_ca_listen.n == 0 || c->client_ca[0] != '\0')
		return 0;
	server_conf_free(c);
	return err_set(e, ERR_INVALID, "%s: client-ca-listen without client-ca",
	    path);
}

void
server_conf_free(struct server_conf *c)
{
	conf_free(server_conf_opts, c, sizeof(*c));
}

/*
 * Start-up of holdfast-auth, and reload of its certificate.  Begins as root (or
 * as the one ordinary user), ends sealed as holdfast-auth.  What it reads are
 * its own files and the operator's.
 */
#include "config.h"

#include "server/auth/auth_init.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "common/audit.h"
#include "common/err.h"
#include "common/grant.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/path.h"
#include "common/proc.h"
#include "common/sandbox.h"
#include "server/auth/accounts.h"
#include "server/auth/auth.h"
#include "server/auth/guess_delay.h"
#include "server/auth/hasher.h"
#include "server/auth/instance_id.h"
#include "server/auth/secrets.h"
#include "server/auth/tls_identity.h"

#define SUB "auth"
/* OpenSSL's locked heap: the key, and those of reloads that old workers keep.
 */
#define SECURE_HEAP ((size_t)256 * 1024)
#define SECURE_HEAP_MIN 32
#define FILES_WANTED ((uint64_t)PROC_WORKERS_MAX + 256)
#define PLACES_OWN 6 /* those of auth_init_seal() */

/* A file of our own below STATE/auth; the caller's. */
static char *
state_path(const struct auth *a, const char *name)
{
	return xasprintf("%s/auth%s%s", a->conf.state_dir,
	    name[0] == '\0' ? "" : "/", name);
}

/* --- privileged ---------------------------------------------------------- */

/* 1 if the descriptor is a listening Unix socket, given by our parent. */
static int
is_listening(int fd)
{
	int v = 0, domain = 0;
	socklen_t len = sizeof(v);

	return getenv(PROC_ENV_GENERATION) != NULL &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &len) == 0 && v &&
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	    domain == AF_UNIX;
}

/* The parent's or the service manager's socket, so that no connection is lost
 * while we start again, or one of our own. */
static int
listen_on(int inherited, const struct auth *a, const char *folder,
    mode_t folder_mode, mode_t mode, gid_t gid, struct err *e)
{
	char *dir, *path;
	int fd = -1;

	if (is_listening(inherited))
		return inherited;
	if ((fd = proc_listen_fd(folder, 0)) != -1)
		return fd;
	dir = xasprintf("%s/%s", a->conf.run_dir, folder);
	path = xasprintf("%s/auth.sock", dir);
	if (path_make_folder(a->conf.run_dir, 0755, 0, 0, e) == 0 &&
	    path_make_folder(dir, folder_mode, 0, gid, e) == 0)
		fd = ipc_listen(path, mode, e);
	if (fd != -1 && geteuid() == 0 && gid != (gid_t)-1 &&
	    chown(path, (uid_t)-1, gid) == -1) {
		err_errno(e, errno, "%s", path);
		io_close(&fd);
	}
	free(path);
	free(dir);
	return fd;
}

/*
 * Started by root, or by a service manager as auth-user, workers have a user
 * of their own; else everything runs as one.
 */
static int
find_users(struct auth *a, uid_t *uid_out, gid_t *gid_out, struct err *e)
{
	struct err ignored;
	int root = geteuid() == 0;
	uid_t uid;
	gid_t gid;

	a->start_uid = getuid();
	a->admin_gid = (gid_t)-1;
	a->worker_uid = *uid_out = geteuid();
	*gid_out = getegid();
	if (!root &&
	    (proc_user(a->conf.auth_user, &uid, &gid, &ignored) == -1 ||
		uid != geteuid()))
		return 0;
	if (proc_group(a->conf.admin_group, &gid, &ignored) == 0)
		a->admin_gid = gid;
	if (proc_user(a->conf.user, &a->worker_uid, &gid, e) == -1)
		return -1;
	return root ? proc_user(a->conf.auth_user, uid_out, gid_out, e) : 0;
}

int
auth_init_privileged(struct auth *a, int fds_out[2], struct err *e)
{
	char *dir, *key;
	uid_t uid;
	gid_t gid;
	int rv;

	if (find_users(a, &uid, &gid, e) == -1)
		return -1;
	key = xasprintf("%s/grant.key", a->conf.state_dir);
	dir = state_path(a, "");
	rv = path_make_folder(a->conf.state_dir, 0755, 0, 0, e);
	if (rv == 0)
		rv = path_make_folder(dir, 0700, uid, gid, e);
	if (rv == 0)
		rv = grant_key_load(key, a->secrets->grant, e);
	free(dir);
	free(key);
	if (rv == -1)
		return -1;
	fds_out[0] =
	    listen_on(PROC_FD_MAIN, a, "worker", 0755, 0666, (gid_t)-1, e);
	if (fds_out[0] == -1)
		return -1;
	fds_out[1] =
	    listen_on(PROC_FD_EXTRA, a, "admin", 0750, 0660, a->admin_gid, e);
	if (fds_out[1] == -1)
		io_close(&fds_out[0]);
	return fds_out[1] == -1 ? -1 : 0;
}

int
auth_init_drop(struct auth *a, struct err *e)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (uid == 0 && proc_user(a->conf.auth_user, &uid, &gid, e) == -1)
		return -1;
	if (proc_want_files(FILES_WANTED, e) == -1)
		log_warn_e(SUB, e, "fewer connections than wanted");
	return proc_drop(uid, gid, NULL, 0, e);
}

/* --- state --------------------------------------------------------------- */

static struct tls_identity *
identity_load(const struct server_conf *conf, const struct auth *a,
    struct err *e)
{
	char *certificate = conf->tls_certificate[0] != '\0'
	    ? xstrdup(conf->tls_certificate)
	    : state_path(a, "certificate.pem");
	char *key = conf->tls_key[0] != '\0' ? xstrdup(conf->tls_key)
					     : state_path(a, "key.pem");
	struct tls_files files = {certificate, key, conf->client_ca};
	struct tls_identity *id = NULL;

	if ((conf->tls_certificate[0] == '\0') != (conf->tls_key[0] == '\0'))
		err_set(e, ERR_PARAM,
		    "tls-certificate and tls-key belong together");
	else if (conf->tls_certificate[0] != '\0' ||
	    tls_identity_make_files(certificate, key, e) == 0)
		id = tls_identity_load(&files, e);
	free(certificate);
	free(key);
	return id;
}

int
auth_init_state(struct auth *a, struct err *e)
{
	char *dir = state_path(a, "");
	char *db = state_path(a, "accounts");
	int rv = -1;

	/* Before any key is read; without the limit on locked memory it is
	 * merely not locked. */
	if (CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_HEAP_MIN) != 1)
		log_warn(SUB, "keys may be swapped: cannot lock memory");
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG |
		OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
		OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS,
	    NULL);
	tzset();
	if (secrets_load_ticket(a->secrets, dir, e) == 0 &&
	    instance_id_load(dir, a->instance_id, e) == 0 &&
	    audit_open(&a->audit, dir, &a->conf.audit, e) == 0 &&
	    accounts_open(&a->accounts, db, e) == 0 &&
	    (a->identity = identity_load(&a->conf, a, e)) != NULL) {
		a->guesses =
		    guess_delay_new((unsigned int)a->conf.login_failures);
		rv = 0;
	}
	free(db);
	free(dir);
	return rv;
}

/* --- seal ---------------------------------------------------------------- */

struct places {
	struct sandbox_path *v;
	size_t n;
};

static void
places_add(struct places *p, const char *path, unsigned int rights)
{
	p->v[p->n++] = (struct sandbox_path){path, -1, rights};
}

/* The folder of an operator's file, since a new one is renamed into it. */
static void
places_add_folder(struct places *p, const char *file)
{
	char *copy;

	if (file[0] == '\0')
		return;
	copy = xstrdup(file); /* for the life of the process */
	places_add(p, dirname(copy), SANDBOX_READ | SANDBOX_MAYBE);
}

int
auth_init_seal(struct auth *a, struct err *e)
{
	struct places p = {xcalloc(PLACES_OWN + sandbox_system_npaths,
			       sizeof(*p.v)),
	    0};
	char *dir = state_path(a, "");
	size_t i;
	int rv;

	places_add(&p, dir, SANDBOX_READ | SANDBOX_WRITE);
	places_add(&p, a->conf.libexec_dir, SANDBOX_READ | SANDBOX_EXEC);
	places_add_folder(&p, a->conf_path);
	places_add_folder(&p, a->conf.tls_certificate);
	places_add_folder(&p, a->conf.tls_key);
	places_add_folder(&p, a->conf.client_ca);
	for (i = 0; i < sandbox_system_npaths; i++)
		p.v[p.n++] = sandbox_system_paths[i];
	/* That the parent is gone shows on PROC_FD_DEAD, if there is one. */
	rv = proc_harden(0, e);
	if (rv == 0)
		rv = sandbox_enter(SANDBOX_AUTH, p.v, p.n,
		    a->conf.require_sandbox ? SANDBOX_F_REQUIRE : 0, e);
	free(p.v);
	free(dir);
	return rv;
}

int
auth_reload(struct auth *a, struct err *e)
{
	struct server_conf fresh;
	struct tls_identity *id;

	if (server_conf_load(&fresh, a->conf_path, e) == -1)
		return -1;
	id = identity_load(&fresh, a, e);
	if (id != NULL)
		a->conf.max_per_user = fresh.max_per_user;
	server_conf_free(&fresh);
	if (id == NULL)
		return -1;
	tls_identity_unref(&a->identity);
	a->identity = id;
	return 0;
}

void
auth_fini(struct auth *a)
{
	worker_peers_free(a);
	controls_free(a);
	hasher_pool_free(&a->hashers);
	guess_delay_free(&a->guesses);
	tls_identity_unref(&a->identity);
	accounts_close(&a->accounts);
	audit_close(&a->audit);
	secrets_free(&a->secrets);
	server_conf_free(&a->conf);
}

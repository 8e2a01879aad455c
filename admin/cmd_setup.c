/*
 * holdfast-admin setup: the first steps after the installation in one command.
 * Makes an administrator and says what clients need to know.  Asks auth, which
 * checks everything.
 */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/ctl.h"
#include "common/err.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/prompt.h"

#define PASSWORD_SIZE 1024
#define HOST_SIZE 256
#define ADMIN_DEFAULT "admin@pbs"

/* Sends and frees the arguments; the reply is of no interest. */
static int
tell(const struct admin_opts *o, const char *command, struct ctl_args *a,
    struct err *e)
{
	struct json *reply = NULL;
	int rv = ctl_call(o->run_dir, CTL_AUTH, command, a, &reply, e);

	ctl_args_free(a);
	json_free(&reply);
	return rv;
}

static int
make_user(const struct admin_opts *o, const char *userid, struct err *e)
{
	struct ctl_args *a;
	char password[PASSWORD_SIZE];
	int rv;

	if (prompt_possible())
		fprintf(stderr, "Administrator %s\n", userid);
	rv = prompt_secret("New password", 1, password, sizeof(password), e);
	if (rv == 0) {
		a = ctl_args_new();
		ctl_arg(a, "userid", userid);
		ctl_arg(a, "password", password);
		rv = tell(o, "user-create", a, e);
	}
	mem_wipe(password, sizeof(password));
	if (rv == -1 && e->code == ERR_EXISTS)
		return err_set(e, ERR_EXISTS,
		    "user '%s' exists already: give it a password with "
		    "'user passwd' and rights with 'acl update / Admin --auth-id %s'",
		    userid, userid);
	return rv;
}

static int
make_admin(const struct admin_opts *o, const char *userid, struct err *e)
{
	struct ctl_args *a = ctl_args_new();

	ctl_arg(a, "path", "/");
	ctl_arg(a, "role", "Admin");
	ctl_arg(a, "auth-id", userid);
	return tell(o, "acl-update", a, e);
}

static void
show_next(const char *userid, const struct json *cert)
{
	const char *fingerprint = json_get_str(cert, "fingerprint", NULL);
	char host[HOST_SIZE] = "";

	if (gethostname(host, sizeof(host) - 1) == -1 || host[0] == '\0')
		snprintf(host, sizeof(host), "localhost");
	printf("%s may now do everything on this server.\n\n"
	       "Fingerprint of the certificate:\n  %s\n\n"
	       "Next, make a datastore:\n"
	       "  holdfast-admin datastore create NAME FOLDER\n\n"
	       "A client then needs:\n"
	       "  export PBS_REPOSITORY=%s@%s:NAME\n"
	       "  export PBS_FINGERPRINT=%s\n",
	    userid, fingerprint, userid, host, fingerprint);
}

int
admin_setup(void *values, int nargs, char **args, struct err *e)
{
	const struct admin_opts *o = values;
	const char *userid = nargs > 0 ? args[0] : ADMIN_DEFAULT;
	struct json *cert = NULL;

	/* First, so that nobody types a password for a server that is down. */
	if (ctl_call(o->run_dir, CTL_AUTH, "cert-info", NULL, &cert, e) == -1)
		return ctl_is_down(e)
		    ? err_wrap(e, "the server does not run: start it first")
		    : -1;
	if (make_user(o, userid, e) == -1 || make_admin(o, userid, e) == -1) {
		json_free(&cert);
		return -1;
	}
	show_next(userid, cert);
	json_free(&cert);
	return 0;
}

/*
 * Passwords from the environment, and tickets that are kept.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "client/access.h"
#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/io.h"
#include "common/mem.h"

static char folder[] = "/tmp/holdfast-access-XXXXXX";
static struct auth_id who;
static struct err e;

static void
set_up(void)
{
	cr_assert_not_null(mkdtemp(folder));
	setenv("XDG_RUNTIME_DIR", folder, 1);
	unsetenv("PBS_PASSWORD");
	unsetenv("PBS_PASSWORD_FILE");
	cr_assert_eq(auth_id_parse(&who, "u@pbs", &e), 0);
}

static void
tear_down(void)
{
	char *path = xasprintf("%s/holdfast/tickets", folder);

	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	free(path);
	path = xasprintf("%s/secret", folder);
	unlink(path);
	free(path);
	rmdir(folder);
}

Test(access, password_from_the_environment, .init = set_up, .fini = tear_down)
{
	char secret[SECRET_MAX];

	cr_assert_not(access_secret_given());
	setenv("PBS_PASSWORD", "pass word", 1);
	cr_assert(access_secret_given());
	cr_assert_eq(access_secret(&who, "h:1", secret, &e), 0);
	cr_assert_str_eq(secret, "pass word");
}

Test(access, password_from_a_file, .init = set_up, .fini = tear_down)
{
	char *path = xasprintf("%s/secret", folder), secret[SECRET_MAX];
	FILE *f = fopen(path, "w");

	fputs("from file\nnot this\n", f);
	fclose(f);
	setenv("PBS_PASSWORD_FILE", path, 1);
	cr_assert_eq(access_secret(&who, "h:1", secret, &e), 0, "%s", e.msg);
	cr_assert_str_eq(secret, "from file");
	cr_assert_eq(truncate(path, 0), 0);
	cr_assert_eq(access_secret(&who, "h:1", secret, &e), -1);
	free(path);
}

Test(access, no_password_says_what_to_do, .init = set_up, .fini = tear_down)
{
	char secret[SECRET_MAX];

	cr_assert_not_null(freopen("/dev/null", "r", stdin));
	cr_assert_eq(access_secret(&who, "h:1", secret, &e), -1);
	cr_assert_eq(e.code, ERR_AUTH);
	cr_assert_not_null(strstr(e.msg, "PBS_PASSWORD"));
}

Test(access, tickets_are_kept_by_user_and_server, .init = set_up,
    .fini = tear_down)
{
	struct ticket t = {"PBS:u@pbs:1234::abc", "csrf", io_realtime_s()};
	struct ticket got;
	struct stat st;
	char *path = xasprintf("%s/holdfast/tickets", folder);

	cr_assert_eq(ticket_recall(&who, "h:1", &got, &e), 0);
	cr_assert_eq(ticket_keep(&who, "h:1", &t, &e), 0, "%s", e.msg);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	cr_assert_eq(ticket_recall(&who, "h:2", &got, &e), 0);
	cr_assert_eq(ticket_recall(&who, "h:1", &got, &e), 1);
	cr_assert_str_eq(got.ticket, t.ticket);
	cr_assert_str_eq(got.csrf, t.csrf);
	ticket_fini(&got);
	cr_assert_eq(ticket_keep(&who, "h:1", NULL, &e), 0);
	cr_assert_eq(ticket_recall(&who, "h:1", &got, &e), 0);
	free(path);
}

Test(access, old_or_broken_tickets_count_as_none, .init = set_up,
    .fini = tear_down)
{
	struct ticket t = {"ticket", "csrf", io_realtime_s() - 7200}, got;

	cr_assert_eq(ticket_keep(&who, "h:1", &t, &e), 0);
	cr_assert_eq(ticket_recall(&who, "h:1", &got, &e), 0);
	t.time = io_realtime_s();
	t.csrf = "a\r\nevil: header";
	cr_assert_eq(ticket_keep(&who, "h:1", &t, &e), 0);
	cr_assert_eq(ticket_recall(&who, "h:1", &got, &e), 0);
}

Test(access, a_folder_that_others_can_read_is_not_used, .init = set_up,
    .fini = tear_down)
{
	struct ticket t = {"ticket", "csrf", io_realtime_s()};

	cr_assert_eq(chmod(folder, 0755), 0);
	cr_assert_eq(ticket_keep(&who, "h:1", &t, &e), -1);
}

Test(access, headers)
{
	struct ticket t = {"PBS:u@pbs:AB::c+d/e=", "x:y", 0};
	char *h = access_ticket_headers(&t);

	cr_assert_str_eq(h,
	    "Cookie: PBSAuthCookie=PBS%3Au%40pbs%3AAB%3A%3Ac%2Bd%2Fe%3D\r\n"
	    "CSRFPreventionToken: x:y\r\n");
	free(h);
	cr_assert_eq(auth_id_parse(&who, "u@pbs!t01", &e), 0);
	h = access_token_headers(&who, "a b");
	cr_assert_str_eq(h, "Authorization: PBSAPIToken=u@pbs!t01:a%20b\r\n");
	free(h);
}

/*
 * Repository names, as users of proxmox-backup-client know them.
 */
#include "config.h"

#include <string.h>

#include <criterion/criterion.h>

#include "client/repository.h"
#include "common/err.h"

Test(repository, every_form)
{
	static const struct {
		const char *text, *auth_id, *host, *store;
		unsigned int port;
	} rows[] = {
	    {"s1x", "root@pam", "localhost", "s1x", 8007},
	    {"host:s1x", "root@pam", "host", "s1x", 8007},
	    {"host:99:s1x", "root@pam", "host", "s1x", 99},
	    {"u@pbs@host:s1x", "u@pbs", "host", "s1x", 8007},
	    {"u@pbs@host:99:s1x", "u@pbs", "host", "s1x", 99},
	    {"u@pbs!tok@host:s1x", "u@pbs!tok", "host", "s1x", 8007},
	    {"a@b@pbs@host:s1x", "a@b@pbs", "host", "s1x", 8007},
	    {"u@pbs@[fe80::1]:99:s1x", "u@pbs", "fe80::1", "s1x", 99},
	    {"[::1]:s1x", "root@pam", "::1", "s1x", 8007},
	    {"u@pbs@127.0.0.1:8008:a-b.c", "u@pbs", "127.0.0.1", "a-b.c", 8008},
	};
	struct repository r;
	struct err e;
	char id[AUTH_ID_MAX + 1];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_eq(repository_parse(&r, rows[i].text, &e), 0, "%s",
		    e.msg);
		auth_id_to_str(&r.auth_id, id);
		cr_expect_str_eq(id, rows[i].auth_id);
		cr_expect_str_eq(r.host, rows[i].host);
		cr_expect_str_eq(r.store, rows[i].store);
		cr_expect_eq(r.port, rows[i].port, "%s", rows[i].text);
	}
}

Test(repository, refuses)
{
	static const char *const rows[] = {"", ":", "host:", "host:s",
	    "a b:s1x", "u@pbs@:s1x", "host:0:s1x", "host:65536:s1x",
	    "host:x:s1x", "[::1:s1x", "u@@host:s1x", "@pbs@host:s1x",
	    "ho/st:s1x", "host:-s1x", "u@pbs!@host:s1x"};
	struct repository r;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_eq(repository_parse(&r, rows[i], &e), -1, "%s",
		    rows[i]);
		cr_expect_not_null(strstr(e.msg, "DATASTORE"), "%s", e.msg);
	}
}

Test(repository, server_is_a_host_header)
{
	char buf[REPOSITORY_SERVER_MAX];
	struct repository r;
	struct err e;

	cr_assert_eq(repository_parse(&r, "[::1]:9:s1x", &e), 0);
	cr_assert_str_eq(repository_server(&r, buf), "[::1]:9");
	cr_assert_eq(repository_parse(&r, "h:s1x", &e), 0);
	cr_assert_str_eq(repository_server(&r, buf), "h:8007");
}

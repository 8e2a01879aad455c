/* Values of server.conf that are refused, and how. */
#include "config.h"

#include "server/server_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"

static int
load(const char *text, struct server_conf *c, struct err *e)
{
	char name[] = "/tmp/holdfast-server-conf-XXXXXX";
	int fd = mkstemp(name), rv;

	cr_assert(fd != -1);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	rv = server_conf_load(c, name, e);
	close(fd);
	unlink(name);
	return rv;
}

Test(server_conf, what_is_refused)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
	    {"max-workers = 8193",
		":1: option 'max-workers': 8193 is out of range (1 to 8192)"},
	    {"\nspare-workers = 1025",
		":2: option 'spare-workers': 1025 is out of range (1 to 1024)"},
	    {"audit-file-size = 4095",
		":1: option 'audit-file-size': 4095 is out of range (4K to 1G)"},
	    {"handshake-timeout = 99ms",
		":1: option 'handshake-timeout': 99ms is out of range (100ms to 10m)"},
	    {"client-ca-listen = \"[::]:8007\"",
		": client-ca-listen without client-ca"},
	};
	struct server_conf c;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(load(cases[i].text, &c, &e), -1, "%s",
		    cases[i].text);
		cr_expect_not_null(strstr(e.msg, cases[i].error), "%s", e.msg);
	}
}

Test(server_conf, the_most_connections)
{
	struct server_conf c;
	struct err e;

	cr_assert_eq(load("max-workers = 8192\nspare-workers = 1024", &c, &e),
	    0, "%s", e.msg);
	cr_expect_eq(c.max_workers, 8192);
	server_conf_free(&c);
}

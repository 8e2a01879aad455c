/*
 * The files in etc/ and docs/configuration.md name every option with its
 * default and its meaning, as the tables of the programs have them.  To write
 * them anew after a change: HOLDFAST_WRITE_SAMPLES=1
 * build/tests/etc/test_samples
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "server/server_conf.h"
#include "validator/validator_conf.h"

#define SAMPLE_MAX (64u << 10)

/* The folders of a package; a build's own would differ from machine to
 * machine. */
static const char *const places[][2] = {
    {LOCALSTATEDIR "/lib/", "/var/lib/"},
    {LOCALSTATEDIR "/log/", "/var/log/"},
    {RUNSTATEDIR "/", "/run/"},
    {HOLDFAST_LIBEXECDIR, "/usr/libexec/holdfast"},
};

static char *
replace(char *text, const char *from, const char *to)
{
	char *at, *out;

	while (strcmp(from, to) != 0 && (at = strstr(text, from)) != NULL) {
		out = xasprintf("%.*s%s%s", (int)(at - text), text, to,
		    at + strlen(from));
		free(text);
		text = out;
	}
	return text;
}

static void
print_reference(FILE *f)
{
	fputs("# Configuration\n\n"
	      "Made from the tables of the programs; the manual pages "
	      "`holdfast-server.conf(5)` and `holdfast-validator.conf(5)`\n"
	      "say the same. Sizes may have a unit (`64K`, `16M`, `2G`, `1T`, "
	      "powers of 1024), and so may times (`500ms`, `60s`, `5m`, "
	      "`2h`,\n"
	      "`1d`; alone: seconds). An unknown option or a bad value is an "
	      "error that names file and line.\n\n"
	      "## /etc/holdfast/server.conf\n\n",
	    f);
	conf_print_markdown(f, server_conf_opts);
	fputs("\n## /etc/holdfast/validator.conf and datastores.d/NAME.conf\n\n"
	      "`holdfast-admin datastore create` writes one file for each "
	      "datastore.\n\n",
	    f);
	conf_print_markdown(f, validator_conf_opts);
}

/* NULL: the reference of all. */
static char *
sample_of(const struct conf_opt *opts)
{
	char *text = NULL;
	size_t len, i;
	FILE *f = open_memstream(&text, &len);

	if (opts != NULL)
		conf_print_sample(f, opts);
	else
		print_reference(f);
	fclose(f);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		text = replace(text, places[i][0], places[i][1]);
	return text;
}

static void
check(const char *name, const struct conf_opt *opts)
{
	char *want = sample_of(opts), *have, *path;
	struct err e;
	size_t len;

	path = xasprintf("%s/%s", getenv("top_srcdir"), name);
	if (getenv("HOLDFAST_WRITE_SAMPLES") != NULL)
		cr_assert_eq(io_write_file_atomic(AT_FDCWD, path, want,
				 strlen(want), 0644, 0, &e),
		    0, "%s", e.msg);
	cr_assert_eq(io_read_file(AT_FDCWD, path, SAMPLE_MAX, &have, &len, &e),
	    0, "%s", e.msg);
	cr_assert_str_eq(have, want);
	free(have);
	free(want);
	free(path);
}

Test(samples, server)
{
	check("etc/server.conf", server_conf_opts);
}

Test(samples, validator)
{
	check("etc/validator.conf", validator_conf_opts);
}

Test(samples, reference)
{
	check("docs/configuration.md", NULL);
}

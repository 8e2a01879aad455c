/*
 * Fingerprints: how they are written, and how they are remembered.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "client/tls.h"
#include "client/trust.h"
#include "common/err.h"
#include "common/mem.h"

#define PAIRS "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"
#define ONE PAIRS ":" PAIRS
#define TWO PAIRS ":ff:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"

static char folder[] = "/tmp/holdfast-trust-XXXXXX";
static char *path;
static struct err e;

static void
set_up(void)
{
	cr_assert_not_null(mkdtemp(folder));
	path = xasprintf("%s/fingerprints", folder);
}

static void
tear_down(void)
{
	unlink(path);
	rmdir(folder);
	free(path);
}

Test(trust, either_case)
{
	char out[TLS_FINGERPRINT_LEN + 1], upper[] = ONE, *c;

	for (c = upper; *c != '\0'; c++)
		if (*c >= 'a')
			*c -= 'a' - 'A';
	cr_assert_eq(trust_parse_fingerprint(upper, out, &e), 0);
	cr_assert_str_eq(out, ONE);
}

Test(trust, what_is_no_fingerprint)
{
	static const char *const rows[] = {"", PAIRS, ONE ":", ONE "0",
	    PAIRS "-" PAIRS, "g0:11" PAIRS, ONE "\n"};
	char out[TLS_FINGERPRINT_LEN + 1];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(trust_parse_fingerprint(rows[i], out, &e), -1,
		    "%s", rows[i]);
}

Test(trust, remembers_by_server, .init = set_up, .fini = tear_down)
{
	char out[TLS_FINGERPRINT_LEN + 1];

	cr_assert_eq(trust_recall(path, "a:1", out, &e), 0);
	cr_assert_eq(trust_remember(path, "a:1", ONE, &e), 0, "%s", e.msg);
	cr_assert_eq(trust_remember(path, "a:11", TWO, &e), 0, "%s", e.msg);
	cr_assert_eq(trust_recall(path, "a:1", out, &e), 1);
	cr_assert_str_eq(out, ONE);
	cr_assert_eq(trust_recall(path, "a:11", out, &e), 1);
	cr_assert_str_eq(out, TWO);
	cr_assert_eq(trust_recall(path, "a", out, &e), 0);
}

Test(trust, the_last_one_counts, .init = set_up, .fini = tear_down)
{
	char out[TLS_FINGERPRINT_LEN + 1];

	cr_assert_eq(trust_remember(path, "a:1", ONE, &e), 0);
	cr_assert_eq(trust_remember(path, "b:1", ONE, &e), 0);
	cr_assert_eq(trust_remember(path, "a:1", TWO, &e), 0);
	cr_assert_eq(trust_recall(path, "a:1", out, &e), 1);
	cr_assert_str_eq(out, TWO);
	cr_assert_eq(trust_recall(path, "b:1", out, &e), 1);
	cr_assert_str_eq(out, ONE);
}

Test(trust, a_damaged_line_is_an_error, .init = set_up, .fini = tear_down)
{
	char out[TLS_FINGERPRINT_LEN + 1];

	cr_assert_eq(trust_remember(path, "a:1", "12:34", &e), 0);
	cr_assert_eq(trust_recall(path, "a:1", out, &e), -1);
}

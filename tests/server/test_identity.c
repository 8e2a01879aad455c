/* Cookies, tokens and CSRF headers (wire-protocol 2.1 to 2.3). */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <event2/event.h>
#include <string.h>

#include "common/err.h"
#include "server/identity.h"

static void
never(struct request *req)
{
	(void)req;
	cr_assert_fail("no reply was asked for");
}

static const struct request_ops ops = {.respond = never};

struct identity_case {
	enum request_method method;
	char cookie[160];
	char authorization[96];
	char csrf[32];
	int kind; /* 0: refused */
	char auth_id[64];
	char secret[64];
};

#define TICKET "PBS:u@pbs:6671C80A::c2ln"

ParameterizedTestParameters(identity, parse)
{
	static struct identity_case rows[] = {
	    {METHOD_GET, "PBSAuthCookie=" TICKET, "", "", CREDENTIAL_TICKET, "",
		TICKET},
	    {METHOD_GET, "PBSAuthCookie=PBS%3Au%40pbs%3A6671C80A%3A%3Ac2ln+",
		"", "", CREDENTIAL_TICKET, "", TICKET "+"},
	    {METHOD_GET,
		"a=b; x; PBSAuthCookie=" TICKET
		"; path=/; secure; SameSite=Strict;",
		"", "", CREDENTIAL_TICKET, "", TICKET},
	    {METHOD_GET, "PBSAuthCookie=old; __Host-PBSAuthCookie=new", "", "",
		CREDENTIAL_TICKET, "", "new"},
	    {METHOD_GET, "XPBSAuthCookie=no", "", "", 0, "", ""},
	    {METHOD_GET, "PBSAuthCookieX=no", "", "", 0, "", ""},
	    {METHOD_GET, "PBSAuthCookie=%zz", "", "", 0, "", ""},
	    {METHOD_GET, "PBSAuthCookie=a%00b", "", "", 0, "", ""},
	    {METHOD_GET, "PBSAuthCookie=%zz", "PBSAPIToken=u@pbs!t:s", "", 0,
		"", ""},
	    {METHOD_PUT, "PBSAuthCookie=" TICKET, "", "6671:abc",
		CREDENTIAL_TICKET, "", TICKET},
	    {METHOD_GET, "", "PBSAPIToken=u@pbs!t:se%3acret", "",
		CREDENTIAL_TOKEN, "u@pbs!t", "se:cret"},
	    {METHOD_GET, "", "PBSAPIToken u@pbs!t:a:b", "", CREDENTIAL_TOKEN,
		"u@pbs!t", "a:b"},
	    {METHOD_GET, "other=1", "PBSAPIToken u@pbs!t:s", "",
		CREDENTIAL_TOKEN, "u@pbs!t", "s"},
	    {METHOD_GET, "", "PBSAPITokenu@pbs!t:s", "", 0, "", ""},
	    {METHOD_GET, "", "PBSAPIToken=u@pbs!t", "", 0, "", ""},
	    {METHOD_GET, "", "Basic dTpw", "", 0, "", ""},
	    {METHOD_GET, "", "", "", 0, "", ""},
	};

	return cr_make_param_array(struct identity_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

static void
set(struct request *req, const char *name, const char *value)
{
	if (*value != '\0')
		cr_assert_eq(request_set_header(req, name, strlen(name), value,
				 strlen(value), NULL),
		    0);
}

ParameterizedTest(struct identity_case *row, identity, parse)
{
	struct request *req = request_new(NULL, &ops, NULL, NULL);
	struct identity id;
	struct err e = {0};
	int rv;

	req->method = row->method;
	set(req, "Cookie", row->cookie);
	set(req, "authorization", row->authorization);
	set(req, "CSRFPreventionToken", row->csrf);
	rv = identity_parse(&id, req, "192.0.2.1:5", &e);
	if (row->kind == 0) {
		cr_expect_eq(rv, -1);
		cr_expect_eq(err_http_status(e.code), 401);
		cr_expect_eq(strncmp(e.msg, "authentication failed", 21), 0);
	} else {
		cr_assert_eq(rv, 0, "%s", e.msg);
		cr_expect_eq(id.verify.kind, row->kind);
		cr_expect_str_eq(id.verify.auth_id, row->auth_id);
		cr_expect_eq(id.verify.secret_len, strlen(row->secret));
		cr_expect_str_eq(id.secret, row->secret);
		cr_expect_str_eq(id.csrf, row->csrf);
		cr_expect_eq(id.verify.need_csrf,
		    row->kind == CREDENTIAL_TICKET &&
			row->method != METHOD_GET);
		cr_expect_str_eq(id.verify.peer, "192.0.2.1:5");
	}
	identity_fini(&id);
	request_free(req);
}

Test(identity, nothing_overflows)
{
	struct request *req = request_new(NULL, &ops, NULL, NULL);
	struct identity id;
	char big[8192];

	memset(big, 'a', sizeof(big));
	memcpy(big, "PBSAuthCookie=", 14);
	cr_assert_eq(request_set_header(req, "cookie", 6, big, sizeof(big),
			 NULL),
	    0);
	cr_expect_eq(identity_parse(&id, req, "p", NULL), -1);
	request_free(req);

	req = request_new(NULL, &ops, NULL, NULL);
	memset(big, 'a', sizeof(big));
	memcpy(big, "PBSAPIToken=", 12);
	big[1000] = ':';
	cr_assert_eq(request_set_header(req, "authorization", 13, big,
			 sizeof(big), NULL),
	    0);
	cr_expect_eq(identity_parse(&id, req, "p", NULL), -1);
	request_free(req);
}

Test(identity, headers_do_not_come_twice)
{
	struct request *req = request_new(NULL, &ops, NULL, NULL);
	struct err e = {0};

	set(req, "authorization", "PBSAPIToken=a");
	cr_expect_eq(request_set_header(req, "Authorization", 13, "b", 1, &e),
	    -1);
	set(req, "cookie", "a=1");
	cr_expect_eq(request_set_header(req, "cookie", 6, "b=2", 3, &e), 0);
	cr_expect_str_eq(req->headers[HEADER_COOKIE], "a=1; b=2");
	request_free(req);
}

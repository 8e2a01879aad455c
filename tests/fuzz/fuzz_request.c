/*
 * What a request says: path, query, cookies, tokens, bodies.  The first line
 * of the input is the target, the second a cookie, the third a token, the
 * rest a body, taken as JSON and as a form.
 */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "server/identity.h"
#include "server/params.h"
#include "server/router.h"

static const struct param_def def[] = {
    {"store", PARAM_STRING, 0, 3, 32, param_check_store},
    {"ns", PARAM_STRING, PARAM_OPTIONAL, 0, 256, param_check_ns},
    {"backup-type", PARAM_STRING, PARAM_OPTIONAL, 0, 0,
	param_check_backup_type},
    {"backup-time", PARAM_INTEGER, PARAM_OPTIONAL, 1, 0, NULL},
    {"digest-list", PARAM_STRINGS, PARAM_OPTIONAL, 0, 0, param_check_digest},
    {"offset-list", PARAM_INTEGERS, PARAM_OPTIONAL, 0, 0, NULL},
    {"flag", PARAM_BOOLEAN, PARAM_OPTIONAL, 0, 0, NULL},
    {.name = NULL},
};

static void
no_reply(struct request *req)
{
	(void)req;
}

static void
try_target(const char *target)
{
	struct router_path path;
	unsigned int i;

	if (router_split(&path, target, NULL) == -1)
		return;
	FUZZ_REQUIRE(path.count <= ROUTER_COMPONENTS_MAX);
	for (i = 0; i < path.count; i++)
		FUZZ_REQUIRE(strlen(path.component[i]) <= ROUTER_COMPONENT_MAX);
	router_not_found(&path, NULL);
	router_path_fini(&path);
}

static void
try_identity(const char *cookie, const char *token)
{
	static const struct request_ops ops = {.respond = no_reply};
	struct request *req = request_new(NULL, &ops, NULL, NULL);
	struct identity id;

	req->method = METHOD_POST;
	request_set_header(req, "cookie", 6, cookie, strlen(cookie), NULL);
	request_set_header(req, "authorization", 13, token, strlen(token),
	    NULL);
	if (identity_parse(&id, req, "192.0.2.1:1", NULL) == 0)
		FUZZ_REQUIRE(id.verify.secret_len == strlen(id.secret));
	identity_fini(&id);
	request_free(req);
}

static void
try_params(const char *body, int json)
{
	struct params p = {0};
	size_t len = strlen(body), i;
	struct err e = {0};

	if ((json ? params_set_json(&p, body, len, &e)
		  : params_add_form(&p, body, len, &e)) == 0 &&
	    params_check(&p, def, 0, &e) == 0) {
		FUZZ_REQUIRE(params_str(&p, "store", NULL) != NULL);
		FUZZ_REQUIRE(strlen(params_str(&p, "ns", "")) <= 256);
		FUZZ_REQUIRE(params_int(&p, "backup-time", 1) >= 1);
		for (i = 0; i < params_count(&p, "digest-list"); i++)
			FUZZ_REQUIRE(
			    strlen(params_str_at(&p, "digest-list", i)) == 64);
		for (i = 0; i < params_count(&p, "offset-list"); i++)
			FUZZ_REQUIRE(params_int_at(&p, "offset-list", i) >= 0);
	} else
		FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
	params_fini(&p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *s = fuzz_string(data, len), *rest = s;
	char *target = strsep(&rest, "\n");
	char *cookie = rest != NULL ? strsep(&rest, "\n") : s + strlen(s);
	char *token = rest != NULL ? strsep(&rest, "\n") : s + strlen(s);

	try_target(target);
	try_identity(cookie, token);
	if (rest != NULL) {
		try_params(rest, 0);
		try_params(rest, 1);
	}
	free(s);
	return 0;
}

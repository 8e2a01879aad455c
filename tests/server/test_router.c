/* Paths of requests and the table of routes. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "common/err.h"
#include "server/router.h"

struct split_case {
	char target[96];
	int count; /* -1: refused */
	char joined[96];
	char query[32];
};

ParameterizedTestParameters(router, split)
{
	static struct split_case rows[] = {
	    {"/", 0, "", ""},
	    {"//api2//json/backup?a=1", 3, "api2|json|backup", "a=1"},
	    {"/api2/json/version/", 3, "api2|json|version", ""},
	    {"/a%2Fb/%41", 2, "a/b|A", ""},
	    {"/a/%2e%2e/b", 3, "a|..|b", ""},
	    {"/a/../b", -1, "", ""},
	    {"/.a", -1, "", ""},
	    {"/a/%zz", -1, "", ""},
	    {"/a/%00", -1, "", ""},
	    {"/a/%ff", -1, "", ""},
	    {"*", 1, "*", ""},
	    {"?x=/y", 0, "", "x=/y"},
	    {"/a#b/c", 1, "a", ""},
	    {"/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6", 16,
		"1|2|3|4|5|6|7|8|9|0|1|2|3|4|5|6", ""},
	    {"/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7", -1, "", ""},
	};

	return cr_make_param_array(struct split_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct split_case *row, router, split)
{
	struct router_path p;
	struct err e = {0};
	char joined[256] = "";
	unsigned int i;

	if (row->count == -1) {
		cr_assert_eq(router_split(&p, row->target, &e), -1);
		cr_expect_eq(e.code, ERR_INVALID);
		return;
	}
	cr_assert_eq(router_split(&p, row->target, &e), 0, "%s", e.msg);
	cr_expect_eq((int)p.count, row->count);
	for (i = 0; i < p.count; i++) {
		if (i > 0)
			strcat(joined, "|");
		strcat(joined, p.component[i]);
	}
	cr_expect_str_eq(joined, row->joined);
	cr_expect_str_eq(p.query, row->query);
	router_path_fini(&p);
}

static void
nothing(struct request *req)
{
	(void)req;
}

static const struct param_def store_params[] = {
    {"store", PARAM_STRING, 0, 3, 32, param_check_store},
    {.name = NULL},
};

static const struct route routes[] = {
    {METHOD_GET, "version", NULL, 0, nothing},
    {METHOD_GET, "admin/datastore", NULL, 0, nothing},
    {METHOD_GET, "admin/datastore/{store}/gc", store_params, 0, nothing},
    {METHOD_POST, "admin/datastore/{store}/gc", store_params, 0, nothing},
};

struct find_case {
	enum request_method method;
	char target[64];
	int route; /* -1: none */
};

ParameterizedTestParameters(router, find)
{
	static struct find_case rows[] = {
	    {METHOD_GET, "/api2/json/version", 0},
	    {METHOD_POST, "/api2/json/version", -1},
	    {METHOD_GET, "/api2/json/versio", -1},
	    {METHOD_GET, "/api2/json/version/x", -1},
	    {METHOD_GET, "/api2/json", -1},
	    {METHOD_GET, "/api2/json/admin/datastore/", 1},
	    {METHOD_GET, "/api2/json/admin/datastore/s1/gc", 2},
	    {METHOD_POST, "/api2/json/admin/datastore/s1/gc", 3},
	    {METHOD_OTHER, "/api2/json/admin/datastore/s1/gc", -1},
	    {METHOD_GET, "/api2/json/admin/datastore/s1", -1},
	};

	return cr_make_param_array(struct find_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct find_case *row, router, find)
{
	struct router_path p;
	struct params params = {0};
	struct err e = {0};
	const struct route *r;

	cr_assert_eq(router_split(&p, row->target, &e), 0);
	r = router_find(routes, 4, row->method, &p, 2, &params, &e);
	if (row->route == -1) {
		cr_expect_null(r);
		cr_expect_eq(e.code, ERR_NO_PATH);
	} else
		cr_expect_eq(r, &routes[row->route]);
	router_path_fini(&p);
	params_fini(&params);
}

Test(router, path_parameters_are_decoded)
{
	struct router_path p;
	struct params params = {0};
	struct err e = {0};

	cr_assert_eq(router_split(&p, "/api2/json/admin/datastore/%73%2d1/gc",
			 &e),
	    0);
	cr_assert_not_null(
	    router_find(routes, 4, METHOD_GET, &p, 2, &params, &e));
	cr_assert_eq(params_check(&params, store_params, 0, &e), 0, "%s",
	    e.msg);
	cr_expect_str_eq(params_str(&params, "store", ""), "s-1");
	router_path_fini(&p);
	params_fini(&params);
}

Test(router, unknown_path_is_named_whole)
{
	struct router_path p;
	struct err e = {0};

	cr_assert_eq(router_split(&p, "//api2/json//no/such/", &e), 0);
	router_not_found(&p, &e);
	cr_expect_str_eq(e.msg, "Path '/api2/json/no/such' not found.");
	router_path_fini(&p);
}

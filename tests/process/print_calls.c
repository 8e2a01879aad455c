/*
 * Prints the server's tables of calls and parameters as JSON, one call a
 * line, so that a test can hold them against the protocol's own list: a call
 * without a test cannot be added unnoticed.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "server/api.h"
#include "server/api_int.h"
#include "server/params.h"
#include "server/session_params.h"

static const char *const types[] = {
    [PARAM_STRING] = "string",
    [PARAM_INTEGER] = "integer",
    [PARAM_BOOLEAN] = "boolean",
    [PARAM_STRINGS] = "strings",
    [PARAM_INTEGERS] = "integers",
};

static void
print_call(const char *transport, const char *method, const char *path,
    const struct param_def *params, const char *flags)
{
	const struct param_def *d;

	printf("{\"transport\": \"%s\", \"method\": \"%s\", \"path\": \"%s\", "
	       "\"flags\": \"%s\", \"params\": {",
	    transport, method, path, flags);
	for (d = params; d != NULL && d->name != NULL; d++)
		printf("%s\"%s\": {\"type\": \"%s\", \"optional\": %s, "
		       "\"min\": %" PRId64 ", \"max\": %" PRId64 "}",
		    d == params ? "" : ", ", d->name, types[d->type],
		    (d->flags & PARAM_OPTIONAL) != 0 ? "true" : "false", d->min,
		    d->max);
	printf("}}\n");
}

int
main(void)
{
#define ROUTE(method, path, params, flags, handler) \
	print_call("http1", #method, path, params, #flags);
#define ROUTE_OF_ALL(path, handler) \
	print_call("http1", "GET", "/" path, NULL, "OPEN");
#include "server/routes.def"
#undef ROUTE_OF_ALL
#undef ROUTE
#define H2_ROUTE(session, method, path, params, flags, handler) \
	print_call(#session, #method, path, params, #flags);
#include "server/h2_routes.def"
#undef H2_ROUTE
	return 0;
}

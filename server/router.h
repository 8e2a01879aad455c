#ifndef SERVER_ROUTER_H
#define SERVER_ROUTER_H

#include <stddef.h>

#include "server/request.h"

struct err;
struct param_def;

/*
 * Paths (wire-protocol 1.3) and the table of routes of a transport.
 */
#define ROUTER_TARGET_MAX 3072 /* path and query without the '?'; HTTP/1.1 */
#define ROUTER_COMPONENTS_MAX 16
#define ROUTER_COMPONENT_MAX 1024 /* decoded */

#define ROUTE_OPEN 0x1      /* needs no authentication */
#define ROUTE_RAW 0x2       /* parameters from path and query, body by sink */
#define ROUTE_LAX 0x4       /* unknown parameters in JSON are dropped */
#define ROUTE_UPGRADE 0x8   /* leaves HTTP/1.1 */
#define ROUTE_NO_CHECK 0x10 /* the handler calls params_check() itself */

struct route {
	enum request_method method;
	/* "admin/datastore/{store}/gc": components, or {parameter}. */
	const char *pattern;
	const struct param_def *params; /* NULL: none */
	unsigned int flags;
	void (*handler)(struct request *req);
};

struct router_path {
	unsigned int count;
	char *component[ROUTER_COMPONENTS_MAX]; /* decoded, in buf */
	char *buf;                              /* owned */
	const char *query; /* in the target, without '?'; "" if none */
};

/* Splits a request target.  ERR_INVALID for illegal components, bad
 * encoding or too many. */
int router_split(struct router_path *out, const char *target, struct err *e);
void router_path_fini(struct router_path *p);

/*
 * The route of method and path, from component skip on ("api2/json" of
 * HTTP/1.1); its path parameters go to params.  NULL: ERR_NO_PATH, or
 * ERR_INVALID for a path parameter that is not text.
 */
const struct route *router_find(const struct route *routes, size_t n,
    enum request_method method, const struct router_path *path,
    unsigned int skip, struct params *params, struct err *e);
/* ERR_NO_PATH: "Path '/x/y' not found." */
int router_not_found(const struct router_path *path, struct err *e);

#endif

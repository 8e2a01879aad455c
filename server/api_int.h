#ifndef SERVER_API_INT_H
#define SERVER_API_INT_H

/* Between the api_*.c files. */

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"
#include "server/request.h"

struct err;
struct json;

/* Numbers of call_ops.def. */
enum call_op {
#define CALL_OP(name, id, privs, owner) CALL_##name = (id),
#include "common/call_ops.def"
#undef CALL_OP
};

/* What the validator said. */
struct api_answer {
	uint64_t n0, n1, n2;
	const char *text;    /* "" in an answer with records */
	const uint8_t *recs; /* mapped */
	size_t recs_len;
};

/*
 * One management call: grant from auth, call to the validator, JSON from its
 * answer.  The render function returns what form says, or NULL with e; without
 * one the data is null.
 */
typedef struct json *api_render_fn(struct request *req,
    const struct api_answer *a, struct err *e);

/* What render returns. */
enum api_form {
	API_DATA,     /* "data" of the answer */
	API_ENVELOPE, /* the whole object */
	API_TEXT,     /* a string, which is answered as plain text */
};

struct api_call {
	struct msg_CALL msg;
	int any_store; /* msg.store is a filter: the grant is for all */
	char subject[IPC_AUTHID_MAX + 1]; /* the new owner, or "" */
	int data_fd;                      /* a long value, or -1 */
	api_render_fn *render;
	enum api_form form;
};

/* Takes store, ns, backup-type, backup-id and backup-time from the
 * parameters that are there. */
void api_call_init(struct api_call *c, struct request *req, enum call_op op,
    api_render_fn *render);
/* Starts it; c is copied, data_fd taken.  The reply comes from the loop. */
void api_call_start(struct request *req, const struct api_call *c);

/* The snapshot that the parameters name, and who asks, for a session. */
void api_fill_open(struct msg_SESSION_OPEN *m, const struct request *req);

/* A memory file of a sibling, to be read; NULL if it is empty or cannot be
 * mapped (then *ok_out is 0).  munmap() is the caller's. */
void *api_map(int fd, uint64_t size, int *ok_out);

/* One of the request's parameters, which the schema made fit. */
void api_copy(char *dst, size_t size, const char *value);

#define API_HANDLER(name) void name(struct request *req);
#define ROUTE(method, pattern, params, flags, handler) API_HANDLER(handler)
#define ROUTE_OF_ALL(pattern, handler) API_HANDLER(handler)
#include "server/routes.def"
#undef ROUTE_OF_ALL
#undef ROUTE

/* Parameter tables of more than one file. */
extern const struct param_def api_params_store[];
extern const struct param_def api_params_ns[];
extern const struct param_def api_params_group[];
extern const struct param_def api_params_snapshot[];
extern const struct param_def api_params_login[];
extern const struct param_def api_params_users[];
extern const struct param_def api_params_permissions[];
extern const struct param_def api_params_password[];
extern const struct param_def api_params_status[];
extern const struct param_def api_params_verify[];
extern const struct param_def api_params_prune_store[];
extern const struct param_def api_params_ns_list[];
extern const struct param_def api_params_ns_create[];
extern const struct param_def api_params_ns_delete[];
extern const struct param_def api_params_group_delete[];
extern const struct param_def api_params_group_notes[];
extern const struct param_def api_params_owner[];
extern const struct param_def api_params_snap_list[];
extern const struct param_def api_params_notes[];
extern const struct param_def api_params_protected[];
extern const struct param_def api_params_download[];
extern const struct param_def api_params_catalog[];
extern const struct param_def api_params_pxar_file[];
extern const struct param_def api_params_prune[];
extern const struct param_def api_params_tasks[];
extern const struct param_def api_params_task[];
extern const struct param_def api_params_task_log[];
extern const struct param_def api_params_node[];
extern const struct param_def api_params_backup[];
extern const struct param_def api_params_reader[];

#endif

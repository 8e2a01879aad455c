#ifndef SERVER_PARAMS_H
#define SERVER_PARAMS_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct json;

/*
 * Parameters of a request by schema (wire-protocol 1.5, 1.6), whichever way
 * they travelled: path, query, form body or JSON body.
 */
enum param_type {
	PARAM_STRING,  /* min, max: length in characters */
	PARAM_INTEGER, /* min, max: value */
	PARAM_BOOLEAN,
	PARAM_STRINGS,  /* array; min, max and check are of each element */
	PARAM_INTEGERS, /* array */
};

#define PARAM_OPTIONAL 0x1

struct param_def {
	const char *name; /* NULL ends a table */
	enum param_type type;
	unsigned int flags;
	int64_t min;
	int64_t max; /* 0: no limit */
	/* The format of a string: 0, or -1 with the message. */
	int (*check)(const char *value, struct err *e);
};

/* Formats of Appendix A, for the check column. */
int param_check_safe_id(const char *v, struct err *e);
int param_check_store(const char *v, struct err *e);
int param_check_ns(const char *v, struct err *e); /* "" is the root */
int param_check_backup_type(const char *v, struct err *e);
int param_check_digest(const char *v, struct err *e);
int param_check_auth_id(const char *v, struct err *e);
int param_check_user_id(const char *v, struct err *e);
int param_check_upid(const char *v, struct err *e);
int param_check_no_control(const char *v, struct err *e);
int param_check_task_status(const char *v, struct err *e);
/* Its TASK_FLAG_*; 0: none has this name. */
uint32_t param_task_status(const char *v);

/* Zeroed is empty. */
struct params {
	struct json *values; /* object: after params_check() of these types */
	struct json *path;   /* of the path, likewise */
	int typed;           /* values came as JSON, else as text */
	int wipe;            /* holds a secret */
};

void params_fini(struct params *p);

/* Collecting.  Fail with ERR_INVALID for what cannot be decoded. */
int params_add_path(struct params *p, const char *name, const char *value,
    struct err *e);
/* "a=1&b=2", percent-encoded; the parameter _dc is dropped. */
int params_add_form(struct params *p, const char *s, size_t len, struct err *e);
/* The body of application/json; empty is {}. */
int params_set_json(struct params *p, const char *s, size_t len, struct err *e);

#define PARAMS_LAX 0x1 /* unknown ones in JSON are dropped, not refused */
/*
 * Checks and converts all of them by the table (def may be NULL: none).
 * ERR_PARAM with the texts of 1.6 for all that is wrong.
 */
int params_check(struct params *p, const struct param_def *def,
    unsigned int flags, struct err *e);

/* After params_check(); what is lent lives as long as p. */
int params_has(const struct params *p, const char *name);
/* dflt (which may be NULL) if it is not there. */
const char *params_str(const struct params *p, const char *name,
    const char *dflt);
int64_t params_int(const struct params *p, const char *name, int64_t dflt);
int params_bool(const struct params *p, const char *name, int dflt);
/* Arrays: 0 elements if it is not there. */
size_t params_count(const struct params *p, const char *name);
const char *params_str_at(const struct params *p, const char *name, size_t i);
int64_t params_int_at(const struct params *p, const char *name, size_t i);

#endif

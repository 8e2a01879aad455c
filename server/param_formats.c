/*
 * The formats of wire-protocol Appendix A as checks of parameters; the
 * grammar itself is in common/format.  Runs in a worker, on a client's bytes.
 */
#include "config.h"

#include "server/params.h"

#include <string.h>

#include "common/err.h"
#include "common/msg.h"
#include "common/format/auth_id.h"
#include "common/format/names.h"
#include "common/format/snapshot.h"
#include "common/format/upid.h"
#include "common/str.h"

static int
no_match(struct err *e)
{
	return err_set(e, ERR_PARAM, "value does not match the regex pattern");
}

static int
no_word(const char *v, struct err *e)
{
	return err_set(e, ERR_PARAM,
	    "value '%s' is not defined in the enumeration.", STR_VIS(v));
}

int
param_check_safe_id(const char *v, struct err *e)
{
	return safe_id_valid(v) ? 0 : no_match(e);
}

int
param_check_store(const char *v, struct err *e)
{
	return datastore_name_valid(v) ? 0 : no_match(e);
}

int
param_check_ns(const char *v, struct err *e)
{
	struct backup_ns ns;

	return ns_parse(&ns, v, e);
}

int
param_check_backup_type(const char *v, struct err *e)
{
	enum backup_type type;

	return backup_type_parse(v, &type, NULL) == 0 ? 0 : no_word(v, e);
}

int
param_check_digest(const char *v, struct err *e)
{
	uint8_t bytes[32];

	return str_unhex(bytes, sizeof(bytes), v, strlen(v)) == 0 ? 0
								  : no_match(e);
}

int
param_check_auth_id(const char *v, struct err *e)
{
	struct auth_id id;

	return auth_id_parse(&id, v, NULL) == 0 ? 0 : no_match(e);
}

int
param_check_user_id(const char *v, struct err *e)
{
	struct auth_id id;

	return user_id_parse(&id, v, NULL) == 0 ? 0 : no_match(e);
}

int
param_check_upid(const char *v, struct err *e)
{
	struct upid u;

	return upid_parse(&u, v, NULL) == 0
	    ? 0
	    : err_set(e, ERR_PARAM, "unable to parse UPID '%s'", STR_VIS(v));
}

int
param_check_no_control(const char *v, struct err *e)
{
	for (; *v != '\0'; v++) {
		if ((unsigned char)*v < 0x20 || *v == 0x7f)
			return no_match(e);
	}
	return 0;
}

uint32_t
param_task_status(const char *v)
{
	static const struct {
		const char *word;
		uint32_t flag;
	} words[] = {
	    {"ok", TASK_FLAG_OK},
	    {"warning", TASK_FLAG_WARNING},
	    {"error", TASK_FLAG_ERROR},
	    {"unknown", TASK_FLAG_UNKNOWN},
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(v, words[i].word) == 0)
			return words[i].flag;
	return 0;
}

int
param_check_task_status(const char *v, struct err *e)
{
	return param_task_status(v) != 0 ? 0 : no_word(v, e);
}

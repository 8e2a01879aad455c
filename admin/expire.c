/*
 * When an account ends, as people write it.
 */
#include "config.h"

#include "admin/expire.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "admin/ctl.h"
#include "common/err.h"
#include "common/str.h"

/* Midnight at the start of a local day; -1 if there is no such day. */
static time_t
day_start(const char *text)
{
	struct tm tm = {.tm_isdst = -1}, day;
	const char *end = strptime(text, "%Y-%m-%d", &tm);
	time_t t;

	if (end == NULL || *end != '\0')
		return -1;
	day = tm;
	t = mktime(&tm);
	/* mktime() makes the 1st of March of a 30th of February. */
	return tm.tm_mday == day.tm_mday && tm.tm_mon == day.tm_mon ? t : -1;
}

int
expire_arg(struct ctl_args *a, const char *value, struct err *e)
{
	uint64_t seconds;
	time_t day;

	if (value == NULL)
		return 0;
	if (strcmp(value, "never") == 0) {
		seconds = 0;
	} else if (str_to_u64(value, 0, INT64_MAX, &seconds) == -1) {
		day = day_start(value);
		if (day < 0)
			return err_set(e, ERR_PARAM,
			    "--expire: '%s' is neither YYYY-MM-DD, Unix "
			    "seconds, nor never",
			    STR_VIS(value));
		seconds = (uint64_t)day;
	}
	ctl_arg_u64(a, "expire", seconds);
	return 0;
}

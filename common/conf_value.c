/*
 * How numbers, sizes, times and switches are spelt, in configuration files
 * and on command lines of any program.  What it reads is the operator's.
 */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/mem.h"
#include "common/str.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* The unit of a number without one comes first, the others grow. */
static const struct unit units_none[] = {
    {"", 1},
    {NULL, 0},
};

static const struct unit units_size[] = {
    {"", 1},
    {"K", UINT64_C(1) << 10},
    {"M", UINT64_C(1) << 20},
    {"G", UINT64_C(1) << 30},
    {"T", UINT64_C(1) << 40},
    {NULL, 0},
};

static const struct unit units_duration[] = {
    {"", 1000},
    {"ms", 1},
    {"s", 1000},
    {"m", 60 * 1000},
    {"h", 3600 * 1000},
    {"d", 86400 * 1000},
    {NULL, 0},
};

/* Digits, then one of the units. */
static int
number_with_unit(const char *s, const struct unit *units, uint64_t *out)
{
	size_t digits = strspn(s, "0123456789");
	uint64_t v;

	if (str_to_u64_mem(s, digits, 0, UINT64_MAX, &v) == -1)
		return -1;
	s += digits;
	for (; units->name != NULL; units++)
		if (strcmp(units->name, s) == 0)
			return __builtin_mul_overflow(v, units->factor, out)
			    ? -1
			    : 0;
	return -1;
}

int
conf_to_size(const char *s, uint64_t *out)
{
	return number_with_unit(s, units_size, out);
}

int
conf_to_duration_ms(const char *s, uint64_t *out)
{
	return number_with_unit(s, units_duration, out);
}

int
conf_to_bool(const char *s, int *out)
{
	static const char *const words[][2] = {{"no", "yes"}, {"false", "true"},
	    {"off", "on"}};
	size_t i;
	int v;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		for (v = 0; v < 2; v++)
			if (strcmp(s, words[i][v]) == 0) {
				*out = v;
				return 0;
			}
	return -1;
}

/* In the greatest unit that leaves no fraction. */
static char *
number_text(const struct conf_opt *o, uint64_t v)
{
	const struct unit *units = units_none, *best;

	if (o->type == CONF_SIZE)
		units = units_size;
	else if (o->type == CONF_DURATION)
		units = units_duration + 1;
	for (best = units; v != 0 && units->name != NULL; units++)
		if (v % units->factor == 0)
			best = units;
	return xasprintf("%" PRIu64 "%s", v / best->factor,
	    v != 0 ? best->name : "");
}

char *
conf_range_text(const struct conf_opt *o)
{
	char *min = number_text(o, o->min), *max = number_text(o, o->max);
	char *text;

	if (o->max != 0)
		text = xasprintf("%s to %s", min, max);
	else if (o->min != 0)
		text = xasprintf("at least %s", min);
	else
		text = xstrdup("");
	free(min);
	free(max);
	return text;
}

/*
 * Names of privileges and roles.  Linked into auth, which evaluates rights,
 * the validator, which checks them, and commands that print them.
 */
#include "config.h"

#include "common/privs.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const priv_names[] = {
#define PRIV_DEF(name, bit, text) [bit] = text,
#include "common/privs.def"
#undef PRIV_DEF
};

_Static_assert(PRIV_ALL == (1u << COUNT(priv_names)) - 1,
    "PRIV_ALL must be every row of privs.def");

static const struct {
	const char *name;
	uint32_t privs;
	const char *text;
} roles[] = {
#define ROLE_DEF(name, privs, text) {name, privs, text},
#include "common/privs.def"
#undef ROLE_DEF
};

const char *
privs_bit_name(unsigned int bit)
{
	return bit < COUNT(priv_names) ? priv_names[bit] : NULL;
}

const char *
privs_text(uint32_t privs, char *buf, unsigned int len)
{
	size_t used = 0;
	unsigned int bit;

	if (len > 0)
		buf[0] = '\0';
	for (bit = 0; bit < COUNT(priv_names) && used < len; bit++) {
		if ((privs & (1u << bit)) == 0)
			continue;
		used += (size_t)snprintf(buf + used, len - used, "%s%s",
		    used > 0 ? "|" : "", priv_names[bit]);
	}
	return buf;
}

uint32_t
privs_of_role(const char *role, int *known_out)
{
	size_t i;

	for (i = 0; i < COUNT(roles); i++) {
		if (strcmp(roles[i].name, role) == 0) {
			*known_out = 1;
			return roles[i].privs;
		}
	}
	*known_out = 0;
	return 0;
}

const char *
privs_role_name(unsigned int n, const char **text_out)
{
	if (n >= COUNT(roles))
		return NULL;
	if (text_out != NULL)
		*text_out = roles[n].text;
	return roles[n].name;
}

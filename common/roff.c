/*
 * The one rule of manual pages that both writers of them need (commands in
 * cli_doc.c, options in conf_doc.c).  Runs at build time, on our own tables.
 */
#include "config.h"

#include "common/roff.h"

void
roff_put(FILE *f, const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", f);
	for (; *s != '\0'; s++) {
		if (*s == '-')
			fputs("\\-", f);
		else if (*s == '\\')
			fputs("\\e", f);
		else
			fputc(*s, f);
	}
}

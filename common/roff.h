#ifndef COMMON_ROFF_H
#define COMMON_ROFF_H

#include <stdio.h>

/* Text for a manual page, at the start of a line or within one: nothing in it
 * is a request or an escape, and a minus can be copied. */
void roff_put(FILE *f, const char *s);

#endif

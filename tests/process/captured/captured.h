#ifndef CAPTURED_H
#define CAPTURED_H

#include <stddef.h>

/*
 * What somebody tries who runs code of his own inside one of our processes,
 * once it has sealed itself.
 */
struct attack {
	const char *name;
	int (*run)(void); /* 0: it worked, -1: it was refused */
};
extern const struct attack attacks[];
extern const size_t nattacks;

/* siblings.c */
int hoard_validator(void);
int hoard_auth(void);
int second_signature(void);

/* A line of the file "captured.conf" beside the program: paths and numbers
 * that the attacker happens to know; "" if there is none. */
const char *known(const char *name);

#endif

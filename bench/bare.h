#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <netinet/in.h>

#include <stddef.h>
#include <time.h>

#include "common/format/digest.h"

/* What the bare measurements share.  All end the program on an error. */

/* Descriptor of the store's .chunks. */
int bare_open_chunks(const char *store);
/* A file of 32 bytes each; the caller's to free. */
struct digest *bare_read_digests(const char *path, size_t *count_out);
/* A listening socket on a free port of the loopback interface. */
int bare_listen(struct sockaddr_in *addr_out);
/* A clock's time. */
double bare_seconds(clockid_t clock);
/* Number of threads from an argument; 0 if it is none. */
unsigned int bare_threads(const char *arg);
/* Runs work(NULL) in n threads until all have ended. */
void bare_run(unsigned int n, void *(*work)(void *arg));

#endif

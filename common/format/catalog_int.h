#ifndef COMMON_FORMAT_CATALOG_INT_H
#define COMMON_FORMAT_CATALOG_INT_H

/* Shared by catalog.c and catalog_writer.c. */

#include "common/format/catalog.h"

#define CATALOG_MAGIC_LEN 8
#define CATALOG_TAIL_LEN 8 /* position of the root block */

extern const uint8_t catalog_magic[CATALOG_MAGIC_LEN];

bool catalog_name_valid(const char *name, size_t len);

#endif

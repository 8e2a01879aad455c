#ifndef VALIDATOR_STORE_LISTING_H
#define VALIDATOR_STORE_LISTING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/format/snapshot.h"

struct err;
struct record_file;
struct store;

/*
 * Listings as records.  Manifests go along as bytes.  The callbacks say what
 * the caller may see (wire-protocol 6.4) and run in the store's thread, so
 * they must look at nothing but their ctx.  All block.
 */
typedef bool listing_ns_fn(void *ctx, const struct backup_ns *ns);
typedef bool listing_owner_fn(void *ctx, const char *owner);

/* NS records: parent itself first, then below; *seen_out counts them.  A
 * parent that does not exist is listed alone. */
int listing_namespaces(struct store *s, const struct backup_ns *parent,
    unsigned int max_depth, listing_ns_fn *visible, void *ctx,
    struct record_file *out, uint64_t *seen_out, struct err *e);

/* GROUP records, each with FILE records of its last backup.  Groups
 * without snapshots are left out.  ERR_NOT_FOUND "ENOENT: ..." for a
 * namespace that is not there. */
int listing_groups(struct store *s, const struct backup_ns *ns,
    listing_owner_fn *visible, void *ctx, struct record_file *out,
    struct err *e);

struct listing_filter {
	bool has_type;
	enum backup_type type;
	const char *id; /* NULL: any */
};
/* SNAP records, each with FILE records of what is on disk. */
int listing_snapshots(struct store *s, const struct backup_ns *ns,
    const struct listing_filter *filter, listing_owner_fn *visible, void *ctx,
    struct record_file *out, struct err *e);
/* The same for one finished snapshot; ERR_NOT_FOUND "unable to load blob". */
int listing_snapshot(struct store *s, const struct backup_ns *ns,
    const struct backup_snapshot *snap, struct record_file *out, struct err *e);

/* COUNT records, one a type, over all namespaces. */
int listing_counts(struct store *s, struct record_file *out, struct err *e);

#endif
